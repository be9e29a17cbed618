// @state-hub/client/spool: what an agent has taken and not delivered, safe from its own crash. Needs Node's files.

import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { CLIENT_BOUNDS } from "../bounds.ts";
import type { Spool, Undelivered } from "../spool.ts";
import { appendLine, openDiskFile } from "./disk-file.ts";
import { type FileLock, lockFile } from "./file-lock.ts";
import { FileSpool, spoolFailed } from "./file-spool.ts";

export type { Spool } from "../spool.ts";

export interface SpoolOptions {
  /**
   * Made when it is not there, readable for its owner alone: it holds the tokens of the sessions. Beside it come
   * `<file>.lock` and, when a hub refuses what an earlier process left, `<file>.undelivered`.
   */
  readonly file: string;
  /**
   * Wait for the disk with every publish. Without it the end of the process loses nothing that `publish()` has taken;
   * the end of the machine may lose the newest publishes, or bring some of them to the hub once more. Default false.
   */
  readonly fsync?: boolean;
}

/**
 * A spool in a file, for one process at a time; for the `spool` of `connectAgent`. Throws `SPOOL_LOCKED` while another
 * process has it open, `SPOOL_UNREADABLE` when the file is damaged or no spool, `SPOOL_FAILED` when the system refuses it.
 */
export function openSpool(options: SpoolOptions): Spool {
  const name = resolve(options.file);
  let lock: FileLock | undefined;
  try {
    mkdirSync(dirname(name), { recursive: true, mode: 0o700 });
    lock = lockFile(`${name}.lock`);
    const held = lock;
    const file = openDiskFile(name, options.fsync ?? false);
    try {
      return new FileSpool({
        name,
        file,
        compactBytes: CLIENT_BOUNDS.spoolCompactBytes,
        isHeld: held.isHeld,
        keepUndelivered: (undelivered) => keepUndelivered(`${name}.undelivered`, undelivered),
        release: held.release,
      });
    } catch (error) {
      file.close();
      throw error;
    }
  } catch (error) {
    lock?.release();
    throw spoolFailed(name, error);
  }
}

/** One JSON object a line, for people and scripts. */
function keepUndelivered(path: string, { sessionId, projectId, content, error }: Undelivered): string | undefined {
  const line = JSON.stringify({
    at: new Date().toISOString(),
    session_id: sessionId,
    project_id: projectId,
    error: { code: error.code, message: error.message },
    ...content,
  });
  return appendLine(path, line, CLIENT_BOUNDS.undeliveredFileBytes) ? path : undefined;
}
