import { closeSync, existsSync, openSync, readSync, renameSync, statSync } from "node:fs";

const MAX_LOG_BYTES = 10 * 1024 * 1024;

/** How much of the end is read to explain a failure; a line can hold a whole stack trace. */
const TAIL_BYTES = 64 * 1024;

/** Bounded at each start: one old file is kept beside the current one. */
export function rotateLog(path: string, maxBytes = MAX_LOG_BYTES): void {
  if (existsSync(path) && statSync(path).size > maxBytes) renameSync(path, `${path}.1`);
}

export function logSize(path: string): number {
  return existsSync(path) ? statSync(path).size : 0;
}

/** Why mongod ended, in one line, out of what it logged since `from` (a byte position). */
export function explainFromLog(path: string, from: number): string {
  return explain(readTail(path, from));
}

/** mongod logs JSON lines with a severity; the dynamic linker and assertion failures write plain text. */
export function explain(log: string): string {
  const entries = log.split("\n").filter(Boolean).map(parseLine);
  const plain = entries.filter((entry) => typeof entry === "string");
  const failures = entries.filter((entry) => typeof entry !== "string").filter((entry) => entry.severe);
  const hint = KNOWN.find(([pattern]) => pattern.test(log))?.[1];
  const said = [...new Set([...plain, ...failures.map((entry) => entry.text)])].slice(-3).join("; ");
  return [hint, said.slice(0, 600)].filter(Boolean).join(": ") || "it logged no error";
}

const KNOWN: readonly (readonly [RegExp, string])[] = [
  [/error while loading shared libraries|dyld.*Library not loaded/i, "a system library is missing"],
  [/No space left on device|Quota exceeded/i, "the disk is full"],
  [/DBPathInUse|Unable to lock the lock file/i, "another mongod uses the same data"],
  [/Permission denied|EACCES/i, "this user may not read or write the data"],
  [/Address already in use/i, "its port was taken meanwhile"],
  [
    /UPGRADE PROBLEM|featureCompatibilityVersion|unsupported.*(version|format)/i,
    "the data belong to another MongoDB version",
  ],
  [/WT_PANIC|checksum|corrupt/i, "the data are damaged"],
];

interface LogEntry {
  readonly severe: boolean;
  readonly text: string;
}

function parseLine(line: string): LogEntry | string {
  try {
    const { s, msg, attr } = JSON.parse(line) as { s: string; msg: string; attr?: Record<string, unknown> };
    const detail = attr?.error ?? attr?.reason ?? attr?.message;
    const text =
      detail === undefined ? msg : `${msg} (${typeof detail === "string" ? detail : JSON.stringify(detail)})`;
    return { severe: s === "E" || s === "F", text: oneLine(text) };
  } catch {
    return oneLine(line);
  }
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim().slice(0, 300);
}

function readTail(path: string, from: number): string {
  if (!existsSync(path)) return "";
  const start = Math.max(from, logSize(path) - TAIL_BYTES);
  const buffer = Buffer.alloc(Math.max(0, logSize(path) - start));
  const file = openSync(path, "r");
  try {
    return buffer.toString("utf8", 0, readSync(file, buffer, 0, buffer.length, start));
  } finally {
    closeSync(file);
  }
}
