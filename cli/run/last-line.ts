import { stripVTControlCharacters } from "node:util";

/** More than an activity may have, with room for colours and for characters of several bytes. */
const KEPT_BYTES = 2_048;

/**
 * Looks at output that passes by and knows its last line with something in it. Keeps a short tail of bytes and
 * decodes only when asked, so a program that writes gigabytes pays next to nothing for it.
 */
export class LastLine {
  #tail = Buffer.alloc(0);

  push(chunk: Buffer): void {
    const tail = chunk.length >= KEPT_BYTES ? chunk : Buffer.concat([this.#tail, chunk]);
    // A copy: a slice would keep the whole chunk in memory.
    this.#tail = Buffer.from(tail.subarray(-KEPT_BYTES));
  }

  text(): string | undefined {
    // A progress bar rewrites its line with \r: what is on the screen is what came last.
    const lines = stripVTControlCharacters(this.#tail.toString("utf8")).split(/[\r\n]+/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what has to go
    const visible = lines.map((line) => line.replace(/[\u0000-\u0020\u007f-\u009f]+/g, " ").trim());
    return visible.findLast((line) => line !== "");
  }
}
