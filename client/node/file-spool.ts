import { CLIENT_BOUNDS } from "../bounds.ts";
import { StateHubError } from "../errors.ts";
import type { Spool, SpooledSession, SpoolRecord, Undelivered } from "../spool.ts";
import type { SpoolState } from "../spool-state.ts";
import type { SpoolFile } from "./disk-file.ts";
import { lineOf, MAGIC, readSpool } from "./spool-lines.ts";

interface Parts {
  readonly name: string;
  readonly file: SpoolFile;
  /** Below it the file is never rewritten. */
  readonly compactBytes: number;
  /** False when another process has taken the spool over. */
  readonly isHeld: () => boolean;
  readonly keepUndelivered: (undelivered: Undelivered) => string | undefined;
  readonly release: () => void;
}

/**
 * Appends lines; rewrites the file when most of it is history. Every append is over when it returns, so what the end of
 * the process can cut off is one line of which nobody was told that it had been taken.
 */
export class FileSpool implements Spool {
  readonly name: string;
  readonly #parts: Parts;
  readonly #state: SpoolState;
  #bytes: number;
  #compactAt: number;
  /** The file says less than has happened: something could not be written. */
  #isBehind = false;
  #isClosed = false;

  /** Throws `SPOOL_UNREADABLE`, or the system's error. */
  constructor(parts: Parts) {
    this.name = parts.name;
    this.#parts = parts;
    const { state, goodBytes } = readSpool(parts.file.read(), parts.name);
    this.#state = state;
    this.#bytes = goodBytes;
    this.#compactAt = this.#nextCompaction();
    parts.file.truncate(goodBytes);
    if (goodBytes === 0) this.#write(MAGIC);
    forgetOldestIdle(state);
  }

  get agentId(): string | undefined {
    return this.#state.agentId;
  }

  get sessions(): ReadonlyMap<string, SpooledSession> {
    return this.#state.sessions;
  }

  append(record: SpoolRecord): void {
    try {
      this.#assertHeld();
      if (this.#isBehind) this.#rewrite();
      this.#write(lineOf(record));
    } catch (error) {
      // What is to be taken is refused. What has happened has happened, written or not.
      if (record.type !== "taken" && record.type !== "session") {
        this.#state.apply(record);
        this.#isBehind = true;
      }
      throw spoolFailed(this.name, error);
    }
    this.#state.apply(record);
    if (this.#bytes >= this.#compactAt) this.#compact();
  }

  keepUndelivered(undelivered: Undelivered): string | undefined {
    try {
      return this.#parts.keepUndelivered(undelivered);
    } catch {
      return undefined;
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#parts.file.close();
    this.#parts.release();
  }

  #assertHeld(): void {
    if (this.#isClosed) throw new Error("it is closed");
    if (!this.#parts.isHeld()) throw new Error("another process has taken it over while this one stood still");
  }

  #write(text: string): void {
    try {
      this.#parts.file.append(text);
    } catch (error) {
      // A line cut off in the middle of the file would make all of it unreadable.
      this.#isBehind = true;
      this.#parts.file.truncate(this.#bytes);
      this.#isBehind = false;
      throw error;
    }
    this.#bytes += Buffer.byteLength(text);
  }

  #rewrite(): void {
    let text = MAGIC;
    for (const record of this.#state.records()) text += lineOf(record);
    this.#parts.file.replace(text);
    this.#isBehind = false;
    this.#bytes = Buffer.byteLength(text);
    this.#compactAt = this.#nextCompaction();
  }

  #nextCompaction(): number {
    return Math.max(this.#parts.compactBytes, 4 * this.#bytes);
  }

  /** Only to save room: when it fails, the file as it is will do until it has grown as much again. */
  #compact(): void {
    try {
      this.#rewrite();
    } catch {
      this.#compactAt = 2 * this.#bytes;
    }
  }
}

/** Sessions that nothing waits for are kept for their tokens, not for ever. */
function forgetOldestIdle(state: SpoolState): void {
  const idle = [...state.sessions].filter(([, one]) => one.queue.size === 0 && one.inFlight === undefined);
  for (const [session] of idle.slice(0, -CLIENT_BOUNDS.idleSpooledSessions)) state.apply({ type: "over", session });
}

export function spoolFailed(name: string, error: unknown): StateHubError {
  if (error instanceof StateHubError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new StateHubError("SPOOL_FAILED", `spool ${name}: ${why}`, { cause: error });
}
