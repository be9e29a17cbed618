import { randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { StartupError } from "../startup-error.ts";
import { isAlive, processStart } from "./process-identity.ts";

export interface DataFolder {
  /** Absolute, without symbolic links. */
  readonly path: string;
  /** Gives the folder free for the next hub. Synchronous and harmless when repeated, so it may run at process exit. */
  release(): void;
}

interface Owner {
  readonly pid: number;
  readonly start: string | undefined;
  readonly token: string;
}

const ATTEMPTS = 5;
const SETTLE_MS = 50;

/**
 * Creates the folder (readable by its owner only: it will hold keys and data) and makes this process its only hub.
 * The lock survives a `kill -9` as a file, but not as a lock: it counts only while the process it names, start time
 * included, is alive. Throws a StartupError that names what to do.
 */
export async function openDataFolder(dir: string): Promise<DataFolder> {
  const path = createFolder(dir);
  const lock = join(path, "hub.lock");
  const me: Owner = { pid: process.pid, start: processStart(process.pid), token: randomBytes(8).toString("hex") };
  await takeLock(lock, me, path);
  return {
    path,
    release: () => {
      if (readOwner(lock)?.token === me.token) rmSync(lock, { force: true });
    },
  };
}

function createFolder(dir: string): string {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    if (!statSync(dir).isDirectory()) throw new Error("it is a file");
    return realpathSync(dir);
  } catch (error) {
    throw cannotUse(dir, error);
  }
}

async function takeLock(lock: string, me: Owner, path: string): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (createLock(lock, me, path)) {
      // After a takeover: of two hubs that both found the dead owner's lock, the slower may have moved this one away.
      if (attempt > 0) await sleep(SETTLE_MS);
      if (readOwner(lock)?.token === me.token) return;
    }
    const owner = readOwner(lock);
    if (owner !== undefined && isRunning(owner)) {
      throw new StartupError(`another hub (pid ${owner.pid}) runs on the data folder ${path}; stop it or set DATA_DIR`);
    }
    moveAway(lock);
  }
  throw new StartupError(
    `other hubs start on the data folder ${path} at the same time; start only one, or set DATA_DIR`,
  );
}

/** A link appears with its content or not at all, so nobody ever reads a lock that is not written yet. */
function createLock(lock: string, me: Owner, path: string): boolean {
  const draft = `${lock}.${me.token}`;
  try {
    writeFileSync(draft, JSON.stringify(me), { mode: 0o600 });
    createFrom(draft, lock, me);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw cannotUse(path, error);
  } finally {
    rmSync(draft, { force: true });
  }
}

function createFrom(draft: string, lock: string, me: Owner): void {
  try {
    linkSync(draft, lock);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") throw error;
    // Some file systems have no hard links.
    writeFileSync(lock, JSON.stringify(me), { mode: 0o600, flag: "wx" });
  }
}

function readOwner(lock: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(lock, "utf8")) as Owner;
  } catch {
    return undefined;
  }
}

function isRunning(owner: Owner): boolean {
  if (!isAlive(owner.pid)) return false;
  const start = processStart(owner.pid);
  // Where the system tells no start times, a living pid has to be believed.
  return start === undefined || owner.start === undefined || start === owner.start;
}

function moveAway(lock: string): void {
  const aside = `${lock}.stale-${process.pid}`;
  try {
    renameSync(lock, aside);
  } catch {
    return; // Another hub was faster; the next attempt sees its lock.
  }
  rmSync(aside, { force: true });
}

function cannotUse(dir: string, error: unknown): StartupError {
  const { code, message } = error as NodeJS.ErrnoException;
  const reasons: Record<string, string> = {
    EACCES: "this user may not write there",
    EPERM: "this user may not write there",
    EROFS: "it is on a read-only file system",
    ENOSPC: "the disk is full",
    ENOTDIR: "a part of the path is a file",
    EEXIST: "it is a file",
  };
  const reason = (code === undefined ? undefined : reasons[code]) ?? message;
  return new StartupError(
    `the data folder ${dir} cannot be used: ${reason}; set DATA_DIR to a folder that can be written`,
  );
}
