import {
  appendFileSync,
  closeSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";

/** The file of a spool as the spool needs it. Everything is done when the call returns, or it throws. */
export interface SpoolFile {
  read(): Buffer;
  append(text: string): void;
  truncate(bytes: number): void;
  /** All of it anew; a crash leaves the old content or the new one. */
  replace(text: string): void;
  close(): void;
}

/** Its owner alone. */
const MODE = 0o600;

/** With `durable` every call waits for the disk; without it the system writes when it likes. */
export function openDiskFile(path: string, durable: boolean): SpoolFile {
  let fd = openForAppend(path);
  return {
    read: () => readFileSync(path),
    append: (text) => {
      writeAll(fd, text);
      if (durable) fsyncSync(fd);
    },
    truncate: (bytes) => ftruncateSync(fd, bytes),
    replace: (text) => {
      const next = `${path}.new`;
      try {
        writeNew(next, text);
      } catch (error) {
        rmSync(next, { force: true });
        throw error;
      }
      // Some systems do not rename over an open file.
      closeSync(fd);
      try {
        renameSync(next, path);
      } finally {
        fd = openForAppend(path);
      }
      if (durable) syncFolder(dirname(path));
    },
    close: () => closeSync(fd),
  };
}

/** One more line in a file for people, unless that would be too large. */
export function appendLine(path: string, text: string, maxBytes: number): boolean {
  const fd = openForAppend(path);
  try {
    if (fstatSync(fd).size + text.length > maxBytes) return false;
    appendFileSync(fd, `${text}\n`);
    return true;
  } finally {
    closeSync(fd);
  }
}

function openForAppend(path: string): number {
  const fd = openSync(path, "a", MODE);
  fchmodSync(fd, MODE);
  return fd;
}

/** On the disk before it takes the old file's name: else the end of the machine could leave an empty file under it. */
function writeNew(path: string, text: string): void {
  rmSync(path, { force: true });
  const fd = openSync(path, "wx", MODE);
  try {
    writeAll(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
}

function syncFolder(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
