import { createHash } from "node:crypto";
import { StateHubError } from "../errors.ts";
import type { SpoolRecord } from "../spool.ts";
import { SpoolState } from "../spool-state.ts";

/** First line of every spool: nothing else is ever overwritten, and another layout gets another number. */
export const MAGIC = "state-hub-spool 1\n";

/** `<checksum> <JSON>\n`: the checksum tells a line that was cut off from one that is whole. */
export function lineOf(record: SpoolRecord): string {
  const json = JSON.stringify(record);
  return `${checksum(json)} ${json}\n`;
}

/** What a spool file says, and how many of its bytes. The rest is the line that the end of a process cut off. */
export function readSpool(bytes: Buffer, name: string): { readonly state: SpoolState; readonly goodBytes: number } {
  const state = new SpoolState();
  const head = bytes.subarray(0, MAGIC.length).toString("latin1");
  if (head !== MAGIC) {
    if (MAGIC.startsWith(head)) return { state, goodBytes: 0 };
    throw unreadable(
      name,
      head.startsWith("state-hub-spool ") ? "is of another version" : "is no spool; choose another file",
    );
  }
  let offset = MAGIC.length;
  for (let line = 2; offset < bytes.length; line++) {
    const end = bytes.indexOf(LINE_END, offset);
    const record = end === -1 ? undefined : recordIn(bytes.subarray(offset, end));
    if (record === undefined) {
      if (hasWholeLine(bytes, offset)) throw unreadable(name, `is damaged in line ${line}`);
      break;
    }
    try {
      state.apply(record);
    } catch (error) {
      throw unreadable(name, `makes no sense in line ${line}: ${(error as Error).message}`);
    }
    offset = end + 1;
  }
  return { state, goodBytes: offset };
}

const LINE_END = 0x0a;

/** After a damaged line nothing whole comes when only the end was cut off: then it is just that. */
function hasWholeLine(bytes: Buffer, from: number): boolean {
  for (let start = from, end = bytes.indexOf(LINE_END, start); end !== -1; end = bytes.indexOf(LINE_END, start)) {
    if (recordIn(bytes.subarray(start, end)) !== undefined) return true;
    start = end + 1;
  }
  return false;
}

function recordIn(line: Buffer): SpoolRecord | undefined {
  const text = line.toString("utf8");
  const json = text.slice(CHECKSUM_CHARS + 1);
  return text.startsWith(`${checksum(json)} `) ? (JSON.parse(json) as SpoolRecord) : undefined;
}

const CHECKSUM_CHARS = 16;

/** Against damage, not against people. */
function checksum(json: string): string {
  return createHash("sha256").update(json).digest("hex").slice(0, CHECKSUM_CHARS);
}

function unreadable(name: string, why: string): StateHubError {
  return new StateHubError(
    "SPOOL_UNREADABLE",
    `spool ${name} ${why}. It was left as it is: move it away to go on without what it holds`,
  );
}
