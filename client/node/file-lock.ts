import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  linkSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { hostname } from "node:os";
import { StateHubError } from "../errors.ts";

/**
 * A lock on a file for as long as this process lives. A lock file names its owner, so a crash leaves nothing to wait for:
 * the next process sees that the owner is gone and takes over. Where that cannot be seen (another container or machine
 * on a shared volume), an owner counts as gone when it has not touched its lock for `STALE_MS`.
 */
export interface FileLock {
  /** False when another process has taken over: this one stood still for too long. */
  isHeld(): boolean;
  release(): void;
}

/** Who holds a lock. */
interface Owner {
  readonly pid: number;
  /** The process's start in ticks since boot, where the system tells it: a pid is used again, both together are not. */
  readonly started?: string;
  /** Pids mean something only to owners of the same space. */
  readonly space: string;
  /** Tells two locks of one process apart. */
  readonly id: string;
}

const STALE_MS = 10_000;
const TOUCH_MS = 2_500;
/** Each further level needs a crash within microseconds of the takeover at the level below. */
const MOST_TAKEOVERS = 3;

/** Throws `SPOOL_LOCKED` when another process has it, or this one once already. */
export function lockFile(path: string): FileLock {
  const me = thisProcess();
  acquire(path, me, MOST_TAKEOVERS);
  let touchedAt = performance.now();
  let isOurs = true;
  const touch = () => {
    touchedAt = performance.now();
    const owner = readOwner(path);
    // One that cannot be read for the moment (no file handles left, say) is still ours.
    isOurs &&= owner === undefined ? existsSync(path) : owner.id === me.id;
    if (!isOurs) return;
    const now = new Date();
    utimesSync(path, now, now);
  };
  const timer = setInterval(() => attempt(touch), TOUCH_MS);
  timer.unref();
  return {
    isHeld: () => {
      // The timer is late: this process stood still, and somebody may have taken that for its end.
      if (performance.now() - touchedAt > 2 * TOUCH_MS) attempt(touch);
      return isOurs;
    },
    release: () => {
      clearInterval(timer);
      if (isOurs && readOwner(path)?.id === me.id) rmSync(path, { force: true });
      isOurs = false;
    },
  };
}

/**
 * Only whoever holds the lock on the takeover may replace a dead owner's lock, and looks once more when it has it:
 * otherwise two processes that both saw the dead owner would remove each other's new lock.
 */
function acquire(path: string, me: Owner, takeovers: number): void {
  if (create(path, me)) return;
  const owner = readOwner(path);
  if (takeovers === 0 || isAlive(owner, path, me)) throw lockedError(owner, path, me);
  const takeover = `${path}.takeover`;
  acquire(takeover, me, takeovers - 1);
  try {
    if (create(path, me)) return;
    const now = readOwner(path);
    if (now?.id !== owner?.id) throw lockedError(now, path, me);
    renameSync(write(`${path}.${me.id}`, me), path);
  } finally {
    rmSync(takeover, { force: true });
  }
}

/** The lock appears with its whole content or not at all; without links, content follows at once. */
function create(path: string, me: Owner): boolean {
  const mine = write(`${path}.${me.id}`, me);
  try {
    linkSync(mine, path);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    if (!WITHOUT_LINKS.has(codeOf(error))) throw error;
    return createInPlace(path, me);
  } finally {
    rmSync(mine, { force: true });
  }
}

/** What file systems say that have no links (FAT, some network shares). */
const WITHOUT_LINKS: ReadonlySet<string | undefined> = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

function createInPlace(path: string, me: Owner): boolean {
  try {
    write(path, me);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

function write(path: string, owner: Owner): string {
  const fd = openSync(path, "wx", 0o600);
  try {
    writeSync(fd, JSON.stringify(owner));
  } finally {
    closeSync(fd);
  }
  return path;
}

function readOwner(path: string): Owner | undefined {
  const owner = attempt(() => JSON.parse(readFileSync(path, "utf8")) as Partial<Owner> | null);
  return typeof owner?.pid === "number" && typeof owner.id === "string" ? (owner as Owner) : undefined;
}

function isAlive(owner: Owner | undefined, path: string, me: Owner): boolean {
  if (owner === undefined || owner.space !== me.space) {
    const touched = attempt(() => statSync(path).mtimeMs) ?? 0;
    return Math.abs(Date.now() - touched) < STALE_MS;
  }
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if (codeOf(error) === "ESRCH") return false;
  }
  const seen = processStat(owner.pid);
  // A zombie has ended, its parent just has not asked.
  return seen === undefined || (seen.state !== "Z" && (owner.started === undefined || seen.started === owner.started));
}

function lockedError(owner: Owner | undefined, path: string, me: Owner): StateHubError {
  const who = owner === undefined ? "another process" : `process ${owner.pid}`;
  const why =
    owner?.space === me.space
      ? `${who} has it open`
      : `${who} of another container or machine has it open, or ended less than ${STALE_MS / 1_000} s ago`;
  return new StateHubError("SPOOL_LOCKED", `${path}: ${why}. Every process needs a spool of its own`);
}

function thisProcess(): Owner {
  const started = processStat(process.pid)?.started;
  return {
    pid: process.pid,
    ...(started === undefined ? {} : { started }),
    space: pidSpace(),
    id: randomBytes(8).toString("hex"),
  };
}

/** Host, boot and pid namespace: what a pid is unique in. */
function pidSpace(): string {
  const boot = attempt(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
  const namespace = attempt(() => readlinkSync("/proc/self/ns/pid"));
  return boot === undefined || namespace === undefined ? hostname() : `${boot} ${namespace}`;
}

/** From /proc where there is one. The program's name stands in parentheses and may hold anything. */
function processStat(pid: number): { readonly state: string; readonly started: string } | undefined {
  const text = attempt(() => readFileSync(`/proc/${pid}/stat`, "utf8"));
  const [state, ...fields] = text?.slice(text.lastIndexOf(")") + 2).split(" ") ?? [];
  const started = fields[18];
  return state === undefined || started === undefined ? undefined : { state, started };
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
