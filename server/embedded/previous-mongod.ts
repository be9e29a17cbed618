import { readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { StartupError } from "../startup-error.ts";
import type { MongodRecord } from "./mongod-record.ts";
import { commandLine, isAlive } from "./process-identity.ts";
import { askIdentity } from "./replica-set.ts";

const POLL_MS = 50;

/** By then the kernel's signal to a mongod whose hub was killed has worked (2 to 3 s measured). */
const PATIENCE_MS = 15_000;

/**
 * Never two mongods on one folder. The caller holds the data folder's lock, so a mongod still running on it has lost
 * its hub: on Linux it is already shutting down and only needs waiting for, elsewhere it is told to. A mongod on the
 * folder that no hub started is left alone and reported.
 */
export async function outlivePreviousMongod(
  dataDir: string,
  record: MongodRecord | undefined,
  say: (line: string) => void,
): Promise<void> {
  const dbPath = realpathSync(join(dataDir, "mongodb"));
  // The lock file is emptied a moment before the process ends; by the record it is still known then.
  const pid = lockHolder(dbPath) ?? record?.pid;
  if (pid === undefined || !isAlive(pid) || !(await runsOn(pid, dbPath, record))) return;
  if (pid !== record?.pid) {
    throw new StartupError(
      `another mongod (pid ${pid}) uses ${dbPath}, and no hub started it; stop it or set DATA_DIR`,
    );
  }
  say(`the previous mongod (pid ${pid}) is still shutting down; waiting for it`);
  kill(pid, "SIGTERM");
  if (await hasEnded(pid, PATIENCE_MS)) return;
  say(`the previous mongod (pid ${pid}) does not stop; killing it (its journal keeps the data)`);
  kill(pid, "SIGKILL");
  if (await hasEnded(pid, 5000)) return;
  throw new StartupError(`the previous mongod (pid ${pid}) on ${dbPath} cannot be stopped; stop it or set DATA_DIR`);
}

/** mongod writes its pid into this file when it opens the data, and empties it when it has closed them. */
function lockHolder(dbPath: string): number | undefined {
  try {
    return Number(readFileSync(join(dbPath, "mongod.lock"), "utf8").trim()) || undefined;
  } catch {
    return undefined;
  }
}

/** The pid may belong to another program by now: only a process that says it works on this folder counts. */
async function runsOn(pid: number, dbPath: string, record: MongodRecord | undefined): Promise<boolean> {
  const args = commandLine(pid);
  if (args !== undefined) return args.some((arg) => sameFolder(arg.replace(/^--dbpath=/, ""), dbPath));
  const identity = record === undefined ? undefined : await askIdentity(record.port);
  return identity !== undefined && identity.pid === pid && sameFolder(identity.dbPath, dbPath);
}

function sameFolder(a: string, b: string): boolean {
  try {
    return realpathSync(a) === b;
  } catch {
    return false;
  }
}

async function hasEnded(pid: number, withinMs: number): Promise<boolean> {
  const giveUpAt = performance.now() + withinMs;
  while (isAlive(pid)) {
    if (performance.now() > giveUpAt) return false;
    await sleep(POLL_MS);
  }
  return true;
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has just ended.
  }
}
