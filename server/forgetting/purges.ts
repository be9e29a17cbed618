import { randomBytes } from "node:crypto";
import type { Actor } from "../../shared/entities.ts";
import { sessionKey } from "../../shared/ids.ts";
import { EMPTY_HEAD, type Entry, type Removal } from "../domain/records.ts";
import type { PurgeRecord, PurgeStore } from "../ports.ts";
import { pause } from "../timing.ts";
import { accepted, type Outcome, refused } from "../writer/outcome.ts";
import { appendRemoval, type RemovalPorts } from "./append-removal.ts";
import { type ErasePorts, eraseTraces } from "./erase-traces.ts";

type Ports = Omit<RemovalPorts & ErasePorts, "isStopped">;

interface Options extends Ports {
  readonly store: PurgeStore;
  /** Of an entry that is in the log: so that all hubs know it at once. */
  readonly onRemoval: (entry: Entry) => void;
}

const BUSY = {
  code: "OVERLOADED",
  message: "too many purges are under way on this hub; wait until one is done",
  retry_after_ms: 5_000,
} as const;

/** What is to be forgotten, and who says so. */
export interface PurgeOrder {
  readonly project_id: string;
  /** All sessions of the project that are there now, without it. */
  readonly session_id?: string;
  readonly actor: Actor;
  readonly request_id: string;
}

/**
 * Forgets sessions for good, some at a time. What is being done stands in the database before it is begun, so that any hub
 * can go on with it after a crash.
 */
export class Purges {
  readonly #options: Options & Pick<ErasePorts, "isStopped">;
  readonly #running = new Map<string, Promise<void>>();
  #beginning = 0;
  #isStopped = false;

  constructor(options: Options) {
    this.#options = { ...options, isStopped: () => this.#isStopped };
  }

  /** Begins; how it goes on, `find` tells. Rejects when MongoDB does not answer. */
  async begin(order: PurgeOrder): Promise<Outcome<PurgeRecord>> {
    if (this.#isFull) return refused(BUSY);
    this.#beginning += 1;
    try {
      return accepted(await this.#begin(order));
    } finally {
      this.#beginning -= 1;
    }
  }

  async #begin({ project_id, session_id, actor, request_id }: PurgeOrder): Promise<PurgeRecord> {
    const { changeLog, log } = this.#options;
    const now = this.#now();
    // Another hub's clock may be ahead: what is there now was created by the head's time.
    const { at: headAt } = (await changeLog.readHead(project_id)) ?? EMPTY_HEAD;
    const at = headAt > now ? headAt : now;
    const record: PurgeRecord = {
      id: `purge-${randomBytes(6).toString("hex")}`,
      project_id,
      ...(session_id === undefined ? {} : { session_id }),
      actor,
      request_id,
      requested_at: at,
      moved_at: at,
      under_way: session_id === undefined ? [] : [session_id],
      sessions: 0,
      entries: 0,
      kept: 0,
    };
    await this.#put(record);
    log.info({ ...auditOf(record), audit: "purge" }, "purge begun");
    this.#start(record);
    return record;
  }

  find(id: string): Promise<PurgeRecord | undefined> {
    return this.#options.store.find(id);
  }

  /** Goes on with what no hub has moved for a while. */
  async resume(isMine: (projectId: string) => boolean): Promise<void> {
    const { store, clock, bounds } = this.#options;
    const movedBefore = new Date(clock.now() - bounds.purgeIdleMs).toISOString();
    for (const record of await store.readOpen(movedBefore, bounds.purgesAtOnce)) {
      if (isMine(record.project_id) && !this.#isFull) this.#start(record);
    }
    await store.forgetFinished(new Date(clock.now() - bounds.purgesKeptMs).toISOString());
  }

  /** Forgets some of the sessions that ended before a time, in the same life of the numbering. Returns how many. */
  async forgetEnded(projectId: string, endedBefore: string): Promise<number> {
    const { projections, bounds, hubId } = this.#options;
    const found = await projections.findEndedSessionIds(projectId, endedBefore, bounds.removedPerEntry);
    if (found.length === 0) return 0;
    const sessionIds = await this.#whatFits(projectId, found);
    const at = this.#now();
    const record: PurgeRecord = {
      id: `retention-${randomBytes(6).toString("hex")}`,
      project_id: projectId,
      actor: { kind: "hub", id: hubId },
      requested_at: at,
      moved_at: at,
      ended_before: endedBefore,
      under_way: sessionIds,
      sessions: 0,
      entries: 0,
      kept: 0,
    };
    const done = await this.#forget(await this.#put(record));
    await this.#finish(done);
    return done.sessions;
  }

  get #isFull(): boolean {
    return this.#running.size + this.#beginning >= this.#options.bounds.purgesAtOnce;
  }

  /** Ends at the next safe place; another hub goes on with the rest. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#running.values());
  }

  #start(record: PurgeRecord): void {
    if (this.#running.has(record.id) || this.#isStopped) return;
    const running = this.#run(record).finally(() => this.#running.delete(record.id));
    this.#running.set(record.id, running);
  }

  async #run(first: PurgeRecord): Promise<void> {
    const { log, bounds } = this.#options;
    let record: PurgeRecord = first;
    let wait: number = bounds.unknownRetryFirstMs;
    let isKept = true;
    while (!this.#isStopped && record.finished_at === undefined) {
      try {
        // A write that failed may have been done: then the store is ahead of what is done next, and a crash would forget it.
        if (!isKept) record = await this.#put(record);
        isKept = true;
        record = await this.#step(record);
        wait = bounds.unknownRetryFirstMs;
      } catch (error) {
        isKept = false;
        log.warn({ ...auditOf(record), err: error }, "purge interrupted, will be tried again");
        await pause(wait);
        wait = Math.min(wait * 2, bounds.unknownRetryLastMs);
      }
    }
  }

  /** What is next, that, or the end: each is kept before the other begins, here too, so that nothing is left half done. */
  async #step(record: PurgeRecord): Promise<PurgeRecord> {
    if (record.under_way.length > 0) return this.#put(await this.#forget(record));
    const sessionIds = await this.#next(record);
    if (sessionIds.length > 0) return this.#put({ ...record, under_way: sessionIds });
    const done = await this.#finish(record);
    this.#options.log.info({ ...auditOf(done), audit: "purge" }, "purge done");
    return done;
  }

  /** What somebody ordered is kept for who asks; what retention did stands in the log alone, or there were thousands a day. */
  async #finish(record: PurgeRecord): Promise<PurgeRecord> {
    const done = { ...record, finished_at: this.#now() };
    if (record.ended_before === undefined) return this.#put(done);
    await this.#options.store.drop(record.id);
    return done;
  }

  async #next({ project_id, session_id, ended_before, requested_at, after }: PurgeRecord): Promise<readonly string[]> {
    if (session_id !== undefined || ended_before !== undefined) return [];
    const { projections, bounds } = this.#options;
    const which = { createdBefore: requested_at, after };
    return this.#whatFits(project_id, await projections.findSessionIds(project_id, which, bounds.removedPerEntry));
  }

  /** The first of these sessions, in their order, that have so many tasks together; one at least. */
  async #whatFits(projectId: string, found: readonly string[]): Promise<readonly string[]> {
    if (found.length < 2) return found;
    const { projections, bounds } = this.#options;
    const sessionIds = found.toSorted();
    const counts = await projections.countTasks(projectId, sessionIds, bounds.removedTasksPerEntry + 1);
    let tasks = 0;
    const tooMany = sessionIds.findIndex((sessionId) => {
      tasks += counts.get(sessionId) ?? 0;
      return tasks > bounds.removedTasksPerEntry;
    });
    return tooMany === -1 ? sessionIds : sessionIds.slice(0, Math.max(1, tooMany));
  }

  /** What was begun before a crash is found in the log, where the removals stay. */
  async #forget(record: PurgeRecord): Promise<PurgeRecord> {
    const { changeLog, onRemoval } = this.#options;
    const { project_id, under_way, actor, request_id, ended_before } = record;
    const cause = {
      actor,
      ...(request_id === undefined ? {} : { request_id }),
      // Once: whoever began anew with the first removals follows the others.
      beginsEpoch: ended_before === undefined && record.sessions === 0,
    };
    const { entry, removals, kept } = await appendRemoval(project_id, under_way, cause, this.#options);
    if (entry !== undefined) onRemoval(entry);
    let entries = await eraseTraces(project_id, removals, this.#options);
    const others = without(under_way, removals);
    if (others.length > 0) {
      const earlier = await changeLog.readRemovals(project_id, others);
      for (const removal of earlier) entries += await eraseTraces(project_id, [removal], this.#options);
      await this.#dropBeats(project_id, without(others, earlier));
    }
    return {
      ...record,
      under_way: [],
      after: under_way.at(-1),
      sessions: record.sessions + removals.length,
      entries: record.entries + entries,
      kept: record.kept + kept,
    };
  }

  /** Of what was removed so long ago that the removal itself is trimmed; documents and base went with it. */
  async #dropBeats(projectId: string, sessionIds: readonly string[]): Promise<void> {
    const { projections, beats } = this.#options;
    const families = await projections.readFamilies(projectId, sessionIds);
    const gone = sessionIds.filter((sessionId) => families.get(sessionId)?.session === undefined);
    if (gone.length > 0) await beats.remove(gone.map((sessionId) => sessionKey(projectId, sessionId)));
  }

  async #put(record: PurgeRecord): Promise<PurgeRecord> {
    const moved = { ...record, moved_at: this.#now() };
    await this.#options.store.put(moved);
    return moved;
  }

  #now(): string {
    return new Date(this.#options.clock.now()).toISOString();
  }
}

function without(sessionIds: readonly string[], removals: readonly Removal[]): string[] {
  const removed = new Set(removals.map(({ session_id }) => session_id));
  return sessionIds.filter((sessionId) => !removed.has(sessionId));
}

/** Who forgot what, and how far it is: never more than ids and numbers. */
function auditOf({ id, project_id, session_id, actor, request_id, sessions, entries, kept }: PurgeRecord): object {
  return { purge_id: id, project_id, session_id, actor, request_id, sessions, entries, kept };
}
