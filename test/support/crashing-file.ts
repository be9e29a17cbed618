import type { SpoolFile } from "../../client/node/disk-file.ts";

/**
 * A file in memory that outlives the process which writes it. The process dies in the middle of a write when its bytes
 * are used up: what was written until then stays, and nothing that it does afterwards has any effect.
 */
export class CrashingFile implements SpoolFile {
  content: Buffer = Buffer.alloc(0);
  /** Bytes that may still be written before the crash. */
  budget = Number.POSITIVE_INFINITY;
  isCrashed = false;
  /** At the very moment of the crash. */
  onCrash: () => void = () => {};
  /** Bytes written since the beginning, over all processes. */
  written = 0;
  /** What they were. */
  history = "";
  /** Set to let writes fail without any effect, as a full disk does. */
  isFull = false;

  read(): Buffer {
    return this.content;
  }

  append(text: string): void {
    const bytes = this.#write(text);
    this.content = Buffer.concat([this.content, bytes]);
    this.#dieIfUsedUp();
  }

  truncate(bytes: number): void {
    if (!this.isCrashed) this.content = this.content.subarray(0, bytes);
  }

  /** Written beside the old content first: cut off there, the old content is what is left. */
  replace(text: string): void {
    const bytes = this.#write(text);
    this.#dieIfUsedUp();
    this.content = bytes;
  }

  close(): void {}

  #write(text: string): Buffer {
    if (this.isCrashed) throw new Error("the process is dead");
    if (this.isFull) throw new Error("ENOSPC: no space left on device");
    const bytes = Buffer.from(text).subarray(0, this.budget);
    if (bytes.length < Buffer.byteLength(text)) {
      this.isCrashed = true;
      this.onCrash();
    }
    this.budget -= bytes.length;
    this.written += bytes.length;
    this.history += bytes.toString();
    return bytes;
  }

  #dieIfUsedUp(): void {
    if (this.isCrashed) throw new Error("killed");
  }
}
