import type { Actor } from "../shared/entities.ts";
import type { HeartbeatInfo } from "../shared/messages/frames.ts";
import type { Role } from "./domain/access.ts";
import type { ProjectScope } from "./domain/project-scope.ts";
import type { Entry, Family, Head, Removal, SessionRecord, TaskRecord } from "./domain/records.ts";
import type { Counts, Standing } from "./domain/standing.ts";

/**
 * What the core needs from outside, in its own words: no driver type appears here. Real adapters are in mongo/;
 * tests and simulation bring their own.
 */

/** Time, so that tests can hold it. */
export interface Clock {
  /** Wall clock, milliseconds since 1970, corrected to the database's clock. Written down, not compared; but for LOST_EXPIRY, which is days. */
  now(): number;
  /** Monotonic, milliseconds: everything that is measured or waited for. */
  monotonic(): number;
}

/** Outcome of appending one entry. */
export type AppendOutcome =
  /** Durable: journaled by a majority. */
  | "committed"
  /** An entry with this key is there: another hub's, or ours from an earlier attempt. */
  | "taken"
  /** No answer, or one that decides nothing: the very same entry must be sent again. */
  | "unknown"
  /** Refused before it was sent and never to be accepted: a bug, not a fault. */
  | "impossible";

/** An entry without its changes. */
export type EntrySpan = Pick<Entry, "from_seq" | "to_seq" | "at">;

/** The truth: an append-only log per project, keyed by (project, from_seq). Reads are primary + majority. */
export interface ChangeLog {
  /** Appends entries of different projects in one request; one outcome each. Never rejects. */
  append(entries: readonly Entry[]): Promise<readonly AppendOutcome[]>;
  /** The end of a project's log, or undefined when it has none. */
  readHead(projectId: string): Promise<Head | undefined>;
  /** Entries with from_seq > seq in order, at most `limit`. */
  readAfter(projectId: string, seq: number, limit: number): Promise<Entry[]>;
  /** The entry that holds this seq, or undefined. */
  readHolding(projectId: string, seq: number): Promise<Entry | undefined>;
  /** Where and when the entry that holds this seq was committed, without its changes, or undefined. */
  readSpan(projectId: string, seq: number): Promise<EntrySpan | undefined>;
  /** All entries with from_seq > `after` and <= `to`, in order, in slices of some milliseconds of work each. */
  readRange(projectId: string, after: number, to: number): AsyncIterable<readonly Entry[]>;
  /**
   * Entries with from_seq > seq that touch one of the sessions, in order. The one at seq + 1 comes whatever it touches: it
   * proves that the log reaches back so far.
   */
  readAfterOfSessions(projectId: string, seq: number, sessionIds: readonly string[]): Promise<Entry[]>;
  /** Removes entries with from_seq < seq; trimming has folded them, and nobody may read them any more. */
  deleteBefore(projectId: string, seq: number): Promise<void>;
  /** The newest removal of each of these sessions that the log has. */
  readRemovals(projectId: string, sessionIds: readonly string[]): Promise<Removal[]>;
  /**
   * Takes the changes of these sessions out of some of the entries with from_seq < seq, but not those that removed them. The
   * entries stay, so nobody can append in their place. Returns how many it changed, 0 when none is left.
   */
  redact(projectId: string, sessionIds: readonly string[], seq: number): Promise<number>;
  /** Which of these projects have an entry with from_seq > seq. */
  findAhead(heads: readonly { readonly projectId: string; readonly seq: number }[]): Promise<string[]>;
  /** Every project that has an entry. */
  projectIds(): AsyncIterable<string>;
}

/** What a project's document says. */
export interface ProjectMark {
  readonly epoch: string;
  /** Every change up to this one is in the documents. */
  readonly projectedSeq: number;
  /** First seq that the log still has. */
  readonly logStart: number;
  /** How often traces of removed sessions have gone: states of the past that were made before are not true any more. */
  readonly forgotten: number;
}

/** Changes that the documents hold. */
export interface ProjectedRange {
  readonly projectId: string;
  readonly from: number;
  readonly to: number;
  /** Of the change at `to`, where it may be another one than at `from - 1`. */
  readonly epoch?: string;
}

/** Documents of one or more commits, the newest state each. */
export interface ProjectionBatch {
  readonly sessions: readonly SessionRecord[];
  readonly tasks: readonly TaskRecord[];
  /** What is to be forgotten: nothing older than that may come back. */
  readonly removals?: readonly Removal[];
}

/** What is seen of a project at once: sessions of the window and their tasks, as the documents say. */
export interface WindowedDocuments {
  readonly sessions: SessionRecord[];
  readonly tasks: TaskRecord[];
}

/** Views of the log: rebuildable, never moved backwards. */
export interface Projections {
  /** Replaces each document unless it is newer already. Rejects when MongoDB does not answer. */
  write(batch: ProjectionBatch): Promise<void>;
  /** Resolves when what was written before is journaled by a majority, provided that the primary is still the same. */
  settle(): Promise<void>;
  readMark(projectId: string): Promise<ProjectMark | undefined>;
  /** projected_seq of these projects, where they have a document. */
  readProjectedSeqs(projectIds: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** Creates the project's document if it is not there. */
  createMark(projectId: string, mark: Pick<ProjectMark, "epoch" | "logStart">, createdAt: string): Promise<void>;
  /** Raises log_start, durably, unless it is there already: what is before may be removed from the log. */
  raiseLogStart(projectId: string, logStart: number): Promise<void>;
  /** Durably: traces of removed sessions have gone once more. */
  countForgotten(projectId: string): Promise<void>;
  /** Ids of a project's sessions that were created at this time (ISO 8601) or before, in their order, at most `limit`. */
  findSessionIds(
    projectId: string,
    which: { readonly createdBefore: string; readonly after: string | undefined },
    limit: number,
  ): Promise<string[]>;
  /** Ids of a project's sessions that ended before this time (ISO 8601), at most `limit`. */
  findEndedSessionIds(projectId: string, endedBefore: string, limit: number): Promise<string[]>;
  /** How many tasks these sessions have, by id; counts in the order of the ids, and no further than to `limit` in all. */
  countTasks(projectId: string, sessionIds: readonly string[], limit: number): Promise<ReadonlyMap<string, number>>;
  /** Raises projected_seq to `to` where it is at least `from - 1`, and says what it is now, per project. */
  raiseMarks(ranges: readonly ProjectedRange[]): Promise<ReadonlyMap<string, number>>;
  /** The documents of these sessions and of their tasks. */
  readFamilies(projectId: string, sessionIds: readonly string[]): Promise<Map<string, Family>>;
  /** Sessions not final or ended since, and of these the tasks not ended or ended since. */
  readWindow(projectId: string, endedSince: string): Promise<WindowedDocuments>;
  /** (project, session) of sessions with this id in these projects, newest first, at most 20. */
  findSessionsById(
    sessionId: string,
    scope: ProjectScope,
  ): Promise<{ readonly projectId: string; readonly incarnation: number }[]>;
}

/**
 * The state before the first entry that the log still has: what trimming has folded out of it. The only copy of that
 * history, so each write is journaled by a majority; never moved backwards.
 */
export interface Base {
  /** Replaces each document unless it is newer already. Rejects when MongoDB does not answer. */
  write(batch: ProjectionBatch): Promise<void>;
  /** The documents of these sessions and of their tasks. */
  readFamilies(projectId: string, sessionIds: readonly string[]): Promise<Map<string, Family>>;
  /** All documents of a project, in slices of some milliseconds of work each; not of one moment while others write. */
  readAll(projectId: string): AsyncIterable<ProjectionBatch>;
}

/** Sessions that are forgotten for good: who wants it, and how far it is. Times are ISO 8601. */
export interface PurgeRecord {
  readonly id: string;
  readonly project_id: string;
  /** That one alone; without it, and without `ended_before`, all that are in the project when it is asked for. */
  readonly session_id?: string;
  /** By retention: those that ended before. */
  readonly ended_before?: string;
  readonly actor: Actor;
  readonly request_id?: string;
  readonly requested_at: string;
  /** When it last got on. */
  readonly moved_at: string;
  readonly finished_at?: string;
  /** Sessions that are being removed, perhaps in part. */
  readonly under_way: readonly string[];
  /** The last session that was looked at. */
  readonly after?: string | undefined;
  /** Sessions that were removed, entries of the log that lost changes, sessions that stayed because they are not final. */
  readonly sessions: number;
  readonly entries: number;
  readonly kept: number;
}

/** Each write is journaled by a majority. */
export interface PurgeStore {
  put(record: PurgeRecord): Promise<void>;
  find(id: string): Promise<PurgeRecord | undefined>;
  /** Those that have not finished, and have not moved since a time (ISO 8601), at most `limit`. */
  readOpen(movedBefore: string, limit: number): Promise<PurgeRecord[]>;
  drop(id: string): Promise<void>;
  /** Drops records that finished before a time (ISO 8601). */
  forgetFinished(before: string): Promise<void>;
}

/** How many sessions of a project stood where when its log ended at this seq. */
export interface ProjectCount {
  readonly epoch: string;
  readonly seq: number;
  readonly counts: Counts;
}

/** Counts that were written down, to go on from: any of them is true for its epoch and seq. */
export interface CountStore {
  read(projectIds: readonly string[]): Promise<ReadonlyMap<string, ProjectCount>>;
  /** Replaces what stands there for an earlier seq. */
  write(counts: ReadonlyMap<string, ProjectCount>): Promise<void>;
  /** Every session of a project as its document says, with the seq of its last change. */
  standings(
    projectId: string,
  ): AsyncIterable<{ readonly sessionId: string; readonly standing: Standing; readonly seq: number }>;
}

export interface BeatRow {
  readonly projectId: string;
  readonly sessionId: string;
  /** Of the owner that it was heard from. */
  readonly incarnation: number;
  readonly lastHeartbeatAt: string;
  readonly lastActivityAt: string | undefined;
  readonly heartbeat: Readonly<Record<string, unknown>>;
  /** It is heard of, and its work has not moved for STALLED_AFTER_MS. */
  readonly isStill: boolean;
  /** The first row after taking the session: it replaces the former owner's. */
  readonly claim: boolean;
}

/** The last heartbeat of a session that was written back, and the owner that it was heard from. */
export interface StoredBeat {
  readonly incarnation: number;
  readonly info: HeartbeatInfo;
}

/** Coarse memory of heartbeats, for REST and for the hub that takes over. */
export interface Beats {
  write(hubId: string, rows: readonly BeatRow[]): Promise<void>;
  /** Of these sessions, by `<project>/<session>`. */
  read(keys: readonly string[]): Promise<ReadonlyMap<string, StoredBeat>>;
  /** Forgets the rows of these sessions, by `<project>/<session>`, those too that a hub is about to write: for a minute. */
  remove(keys: readonly string[]): Promise<void>;
  /** Keys of rows that are still and were heard of since (ISO 8601), at most `limit`. */
  findStill(since: string, limit: number): Promise<string[]>;
}

/** One row per hub process, raised while it lives: how hubs notice each other's death without comparing clocks. */
export interface Hubs {
  /**
   * Adds 1 to the row's number, making the row if it is not there, and returns the number. `startedAt` (ISO 8601) is
   * for people who look.
   */
  raise(hubId: string, startedAt: string): Promise<number>;
  /** The numbers of all rows by hub_id, of at most `limit` of them. */
  read(limit: number): Promise<ReadonlyMap<string, number>>;
  /** Removes the row, if its number is still `beat` where one is given. One that is not there does no harm. */
  remove(hubId: string, beat?: number): Promise<void>;
}

/** What the database tells of hubs to people who look. */
export interface HubRecords {
  /** When the hubs with a row started (ISO 8601), by hub_id, of at most `limit` of them. */
  readStarts(limit: number): Promise<ReadonlyMap<string, string>>;
  /** How many sessions `online` or `stale` name each hub; undefined when there are too many to count them at once. */
  countSessions(): Promise<ReadonlyMap<string, number> | undefined>;
}

/** A session that its hub held for reachable when it was last heard of. */
export interface HeldSession {
  readonly projectId: string;
  readonly sessionId: string;
  readonly incarnation: number;
  readonly liveness: "online" | "stale";
}

/** Sessions `online` or `stale`, by the hub that has them. From the documents, so the log may be ahead. */
export interface HeldSessions {
  /** One hub that has such sessions and is none of these, or undefined. */
  findOtherHub(hubIds: readonly string[]): Promise<string | undefined>;
  /** Those of a hub, in the order of `<project>/<session>`, after the given one if there is one. */
  readOf(hubId: string, after: HeldSession | undefined, limit: number): Promise<HeldSession[]>;
  /** Ids of such sessions of a project, whichever hub has them, at most `limit`. */
  idsOf(projectId: string, limit: number): Promise<string[]>;
}

/** A session whose agent did not come back. */
export interface LostSession {
  readonly projectId: string;
  readonly sessionId: string;
  readonly hubId: string;
  readonly incarnation: number;
}

/** Sessions that are `lost`. From the documents, so the log may be ahead. */
export interface LostSessions {
  /** Those with `lost_at` before the given time (ISO 8601), the longest lost first, at most `limit`. */
  findBefore(lostAt: string, limit: number): Promise<LostSession[]>;
}

/** A managed key: everything but the key itself. Times are ISO 8601. */
export interface KeyRecord {
  readonly id: string;
  /** SHA-256 of the key, hex. */
  readonly digest: string;
  readonly name?: string;
  readonly role: Role;
  /** Patterns. */
  readonly projects: readonly string[];
  /** The beginning of the key, for people. */
  readonly prefix: string;
  readonly created_at: string;
  readonly expires_at?: string;
  readonly revoked_at?: string;
  readonly last_used_at?: string;
  /** Id of the key that took its place. */
  readonly replaced_by?: string;
}

/** Managed keys. What a method has answered is durable, and seen by every later read. */
export interface KeyStore {
  add(record: KeyRecord): Promise<void>;
  find(id: string): Promise<KeyRecord | undefined>;
  /** Keys that were not revoked and do not expire before the given time, at most `limit`. */
  readLiving(at: string, limit: number): Promise<KeyRecord[]>;
  /** All, newest first, at most `limit`. */
  list(limit: number): Promise<KeyRecord[]>;
  /** Writes `revoked_at` unless it is there, and returns the key as it is then; undefined for an unknown one. */
  revoke(id: string, at: string): Promise<KeyRecord | undefined>;
  /** Names the key that takes its place, and lets it expire then unless it does so sooner. */
  replace(id: string, by: string, expiresAt: string): Promise<KeyRecord | undefined>;
  /** Forgets keys that were revoked or expired before this time. */
  forgetEnded(before: string): Promise<void>;
}

/** How one hub uses a key. */
export interface KeyUse {
  readonly keyId: string;
  readonly connections: number;
  readonly lastUsedAt: string | undefined;
}

/** What hubs tell of their use of keys, for people who look. */
export interface KeyUses {
  /** Replaces what this hub has told before, and moves `last_used_at` of managed keys forward. */
  write(hubId: string, at: string, uses: readonly KeyUse[]): Promise<void>;
  /** By hub, of hubs that wrote since. */
  read(since: string): Promise<ReadonlyMap<string, readonly KeyUse[]>>;
  remove(hubId: string): Promise<void>;
}

/** How quickly what other hubs commit arrives here. `off`: there is no Redis, the log is read instead. */
export type FanOutState =
  | { readonly mode: "off" }
  | { readonly mode: "live" }
  | { readonly mode: "degraded"; readonly reason: string };

export interface FanOutCounts {
  /** Entries of other hubs. */
  received: number;
  /** Messages that no hub of this database has sent. */
  garbage: number;
  /** Own messages that other hubs were not told, as far as is known. */
  dropped: number;
  /** Bytes of own messages that are on their way, bounded by `fanOutPendingBytes`. */
  pending_bytes: number;
}

/**
 * Tells hubs of each other's entries, to make it fast: whatever is lost here is found in the log. An entry may come
 * late, twice, out of order, or not at all, but what comes was committed.
 */
export interface FanOut {
  readonly state: FanOutState;
  /** Why it is degraded, in the words of what failed: for operators. */
  readonly trouble: string | undefined;
  readonly counts: Readonly<FanOutCounts>;
  /** Of an entry that is in the log. Never throws, never waits, keeps nothing for later. */
  publish(entry: Entry): void;
  /** Hears what other hubs publish; `bytes` is the size it came in. */
  onEntry(listener: (entry: Entry, bytes: number) => void): void;
  /** Something may have been missed: heads have to be compared now. */
  onDoubt(listener: () => void): void;
  /** Hears of the state now, and whenever it changes. */
  onState(listener: (state: FanOutState) => void): void;
  /** Resolves when live, or after a moment: a hub works without Redis too. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Tells hubs that keys have changed; one that does not hear it finds out by itself. */
export interface KeyNotes {
  /** Never throws, keeps nothing for later. */
  tellKeys(): void;
  /** Another hub has changed keys. */
  onKeys(listener: () => void): void;
}

/** Counts that hubs share, each for a minute from its first use: for limits that hold over all hubs. */
export interface SharedCounter {
  /** Adds to the count and resolves with what it is then. Rejects when that is not known: each hub counts alone then. */
  add(what: string, name: string, count: number): Promise<number>;
}

export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
