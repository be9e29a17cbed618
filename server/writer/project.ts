import type { BOUNDS } from "../bounds.ts";
import { foldEntry } from "../domain/fold.ts";
import {
  EMPTY_HEAD,
  type Entry,
  type Family,
  type FamilyDraft,
  type Head,
  type SessionRecord,
  type TaskRecord,
} from "../domain/records.ts";
import type { Clock } from "../ports.ts";
import type { Job } from "./job.ts";
import { RecentEntries } from "./recent-entries.ts";
import { Turns } from "./turns.ts";

/** What the hub knows of one project: the head of its log, cached families, waiting publishes. Does no I/O itself. */
export class Project {
  readonly id: string;
  /** Publishes that wait, oldest first. */
  readonly queue: Job[] = [];
  queuedBytes = 0;
  /** An append of this project is under way or its outcome unknown, or its head is being read: nothing may be composed. */
  appending = false;
  /** Monotonic time of the last use, for forgetting idle projects. */
  usedAt = 0;
  /** Viewers and owned sessions that follow the project on this hub. */
  followers = 0;
  readonly recent: RecentEntries;
  readonly turns: Turns;
  /** Families that are being read: entries applied meanwhile are kept for them. */
  readonly loading = new Map<string, Entry[]>();
  /** from_seq of own commits whose documents are not written yet, in order. */
  readonly #unprojected: number[] = [];
  /** When the head was last read or an append acked, on both clocks: what it is worth. */
  #headConfirmed = { monotonic: 0, wall: 0 };
  readonly #headConfirmedMs: number;
  readonly #projectionWaiters: { readonly seq: number; readonly done: () => void }[] = [];
  #head: Head = EMPTY_HEAD;
  #families = new Map<string, Family>();
  /** Up to here the documents are known to hold what the log says. */
  #projectedSeq = 0;
  /** Up to here entries may be other hubs', or a former run's: nobody here writes their documents. */
  #foreignSeq = 0;

  constructor(id: string, bounds: typeof BOUNDS) {
    this.id = id;
    this.recent = new RecentEntries({ changes: bounds.recentChanges, bytes: bounds.recentBytes });
    this.turns = new Turns(bounds);
    this.#headConfirmedMs = bounds.headConfirmedMs;
  }

  get head(): Head {
    return this.#head;
  }

  /** The log ends, or has ended this moment, at the head. */
  confirmHead(clock: Clock): void {
    this.#headConfirmed = { monotonic: clock.monotonic(), wall: clock.now() };
  }

  /**
   * Whether the head was confirmed so short a time ago that what comes after it cannot have been trimmed. On both clocks:
   * the monotonic one stands still while the machine sleeps.
   */
  isHeadRecent(clock: Clock): boolean {
    const { monotonic, wall } = this.#headConfirmed;
    const elapsed = Math.max(clock.monotonic() - monotonic, Math.abs(clock.now() - wall));
    return elapsed <= this.#headConfirmedMs;
  }

  get familyCount(): number {
    return this.#families.size;
  }

  /** The family as of the head, moved to the recently used end; undefined when it has to be loaded. */
  family(sessionId: string): Family | undefined {
    const family = this.#families.get(sessionId);
    if (family === undefined) return undefined;
    this.#families.delete(sessionId);
    this.#families.set(sessionId, family);
    return family;
  }

  /** The family if it is cached, without counting as a use. */
  peek(sessionId: string): Family | undefined {
    return this.#families.get(sessionId);
  }

  hold(sessionId: string, family: Family): void {
    this.#families.set(sessionId, family);
  }

  /** Drops the least recently used families until `count` are left. */
  evictTo(count: number): void {
    for (const sessionId of this.#families.keys()) {
      if (this.#families.size <= count) return;
      this.#families.delete(sessionId);
    }
  }

  /**
   * Sets the head that was read from the log: when the project is first used, or when its log no longer continues
   * where it was followed to. Nothing that was held, or is being read, counts any more; what waits is decided anew.
   */
  begin(head: Head): void {
    this.#head = head;
    this.#families.clear();
    this.loading.clear();
    this.recent.clear();
    this.#projectedSeq = 0;
    this.#foreignSeq = head.seq;
  }

  /** Whether the entry is the next one of the log that is followed here. */
  isNext(entry: Entry): boolean {
    const { epoch, seq } = this.#head;
    return entry.from_seq === seq + 1 && (seq === 0 || entry.epoch === epoch);
  }

  /** The documents hold everything up to `seq`. */
  projectedTo(seq: number): void {
    this.#projectedSeq = Math.max(this.#projectedSeq, seq);
  }

  /** Documents may have been lost, own ones too. */
  distrustDocuments(): void {
    this.#projectedSeq = 0;
    this.#foreignSeq = this.#head.seq;
  }

  /** Of a family, what other hubs changed and may not have written yet. */
  unprojected(family: Family): { readonly sessions: SessionRecord[]; readonly tasks: TaskRecord[] } {
    if (this.#projectedSeq >= this.#foreignSeq) return { sessions: [], tasks: [] };
    const isOpen = ({ appliedSeq }: { readonly appliedSeq: number }) =>
      appliedSeq > this.#projectedSeq && appliedSeq <= this.#foreignSeq;
    return {
      sessions: family.session !== undefined && isOpen(family.session) ? [family.session] : [],
      tasks: [...family.tasks.values()].filter(isOpen),
    };
  }

  /** Takes answered publishes off the front of the queue. */
  dropSettled(): void {
    while (this.queue[0]?.settled === true) this.queuedBytes -= this.queue.shift()?.bytes ?? 0;
  }

  projectionBegins(fromSeq: number): void {
    this.#unprojected.push(fromSeq);
  }

  /** The oldest open projection is written: projections of a project end in the order in which they began. */
  projectionEnds(): void {
    this.#unprojected.shift();
    const open = this.#unprojected[0] ?? Number.POSITIVE_INFINITY;
    const ready = this.#projectionWaiters.filter((waiter) => waiter.seq < open);
    if (ready.length === 0) return;
    const left = this.#projectionWaiters.filter((waiter) => waiter.seq >= open);
    this.#projectionWaiters.splice(0, this.#projectionWaiters.length, ...left);
    for (const { done } of ready) done();
  }

  /** Own commits whose documents are not written yet. */
  get isProjecting(): boolean {
    return this.#unprojected.length > 0;
  }

  /** Calls `done` when no commit of this hub up to `seq` waits for its documents any more. */
  whenProjected(seq: number, done: () => void): void {
    if ((this.#unprojected[0] ?? Number.POSITIVE_INFINITY) > seq) done();
    else this.#projectionWaiters.push({ seq, done });
  }

  /**
   * Moves the head over one entry. The only way a head moves: own commits bring the drafts they were decided on,
   * entries of other hubs are folded into what is cached.
   */
  apply(entry: Entry, bytes: number, drafts?: ReadonlyMap<string, FamilyDraft>): void {
    if (!this.isNext(entry)) {
      throw new Error(`entry ${entry.from_seq} of project ${this.id} does not follow head ${this.#head.seq}`);
    }
    this.#head = { epoch: entry.epoch, seq: entry.to_seq, at: entry.at };
    for (const entries of this.loading.values()) entries.push(entry);
    if (drafts === undefined) {
      this.#foreignSeq = entry.to_seq;
      this.#fold(entry);
    } else {
      this.#adopt(drafts);
    }
    this.recent.push(entry, bytes);
  }

  /** Keeps entries that were read from the log up to `head`, for those who ask for them next. */
  remember(head: Head, entries: readonly Entry[]): void {
    if (head.epoch === this.#head.epoch) this.recent.prepend(entries, approximateBytes, this.#head.seq);
  }

  #fold(entry: Entry): void {
    const sessions = new Set(entry.changes.map((change) => change.session_id));
    for (const sessionId of sessions) {
      const family = this.#families.get(sessionId);
      if (family !== undefined) foldEntry(family, sessionId, entry);
    }
  }

  #adopt(drafts: ReadonlyMap<string, FamilyDraft>): void {
    for (const [sessionId, draft] of drafts) {
      // The cache may have let go of the family meanwhile; the draft still holds it, as of this very head.
      const family = this.#families.get(sessionId) ?? draft.base;
      const { session, tasks } = draft.touched;
      if (session !== undefined) family.session = session;
      for (const [taskId, record] of tasks) family.tasks.set(taskId, record);
      this.#families.set(sessionId, family);
    }
  }
}

/** Rough size of an entry that was read, for the bound of the recent ones. */
export function approximateBytes(entry: Entry): number {
  return entry.changes.reduce((bytes, change) => bytes + 200 + (change.state === undefined ? 200 : 1_000), 100);
}
