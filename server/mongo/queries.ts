import type mongoose from "mongoose";
import type { Session, Task } from "../../shared/entities.ts";
import { sessionKey, taskKey } from "../../shared/ids.ts";
import type { HeartbeatInfo } from "../../shared/messages/frames.ts";
import type { ProjectScope } from "../domain/project-scope.ts";
import type { LogChange } from "../domain/records.ts";
import { within } from "../patience.ts";
import type { StoredBeat } from "../ports.ts";
import type { HistoryEntry, ListedProject, ListPlace, Queries, SessionFilter, TaskFilter } from "../queries/ports.ts";
import { BatchedReads } from "./batched-reads.ts";
import type { MongoBeats } from "./beats.ts";
import { decodeSession, decodeTask, isTombstone, type SessionDocument, type TaskDocument } from "./codec.ts";
import { databaseOf, type logKey, MAX_SEQ } from "./database.ts";
import { type Find, findAll } from "./find-all.ts";
import { inScope, prefixRanges } from "./in-scope.ts";
import { type Coverage, type ListPlan, planSessions, planTasks } from "./list-plan.ts";
import type { Models } from "./models.ts";

/** Bound of one query at the server, and of the wait for its answer. */
const MAX_TIME_MS = 1_000;
const WAIT_MS = 2_000;

/** Documents come from durable entries only and are there before the ack: the primary's own word on them is true. */
const DOCUMENTS = { readConcern: { level: "local" }, maxTimeMS: MAX_TIME_MS } as const;

/** Entries count from the moment a majority has them. */
const ENTRIES = { readConcern: { level: "majority" }, readPreference: "primary", maxTimeMS: MAX_TIME_MS } as const;

/** Projects whose ranges are merged for one list; mongod merges up to 200. */
const MERGED_PROJECTS = 100;

/** REST's reads, each over one index. */
export class MongoQueries implements Queries {
  readonly #models: Models;
  readonly #beats: MongoBeats;
  readonly #sessionReads: BatchedReads<SessionDocument>;
  readonly #beatReads: BatchedReads<StoredBeat>;

  constructor(models: Models, beats: MongoBeats) {
    this.#models = models;
    this.#beats = beats;
    this.#sessionReads = new BatchedReads((keys) => within(WAIT_MS, readByKeys(models.sessions.collection, keys)));
    this.#beatReads = new BatchedReads((keys) => within(WAIT_MS, beats.read(keys)));
  }

  async findSession(projectId: string, sessionId: string): Promise<Session | undefined> {
    const found = await this.#sessionReads.read(sessionKey(projectId, sessionId));
    return found === undefined ? undefined : decodeSession(found).entity;
  }

  async findTask(projectId: string, sessionId: string, taskId: string): Promise<Task | undefined> {
    const key = taskKey(projectId, sessionId, taskId);
    const found = await readOne<TaskDocument>(this.#models.tasks.collection, key);
    return found === null || isTombstone(found) ? undefined : decodeTask(found).entity;
  }

  async findSessionsById(sessionId: string, scope: ProjectScope, limit: number): Promise<Session[]> {
    const found = await within(
      WAIT_MS,
      this.#models.sessions
        .find({ session_id: sessionId, ...inScope(scope) }, null, DOCUMENTS)
        .sort({ created_at: -1 })
        .limit(limit)
        .lean<SessionDocument[]>(),
    );
    return found.map((document) => decodeSession(document).entity);
  }

  async findSessionsByKey(keys: readonly string[]): Promise<Session[]> {
    if (keys.length === 0) return [];
    const found = await within(
      WAIT_MS,
      this.#models.sessions.find({ _id: { $in: [...keys] } }, null, DOCUMENTS).lean<SessionDocument[]>(),
    );
    return found.filter(isThere).map((document) => decodeSession(document).entity);
  }

  findStill(since: string, limit: number): Promise<string[]> {
    return within(WAIT_MS, this.#beats.findStill(since, limit));
  }

  async findProject(projectId: string): Promise<ListedProject | undefined> {
    const [found] = await this.#projects({ _id: projectId }, 1);
    return found;
  }

  listProjects(scope: ProjectScope, afterId: string | undefined, limit: number): Promise<ListedProject[]> {
    const named = scope.isAll
      ? []
      : [{ $or: [{ _id: { $in: [...scope.ids] } }, ...prefixRanges(scope).map((_id) => ({ _id }))] }];
    const later = afterId === undefined ? [] : [{ _id: { $gt: afterId } }];
    return this.#projects(named.length + later.length === 0 ? {} : { $and: [...named, ...later] }, limit);
  }

  async #projects(condition: object, limit: number): Promise<ListedProject[]> {
    const found = await within(
      WAIT_MS,
      this.#models.projects
        .find(condition, null, DOCUMENTS)
        .sort({ _id: 1 })
        .limit(limit)
        .lean<{ _id: string; created_at: Date }[]>(),
    );
    return found.map(({ _id, created_at }) => ({ project_id: _id, created_at: created_at.toISOString() }));
  }

  async listSessions(
    filter: SessionFilter,
    scope: ProjectScope,
    after: ListPlace | undefined,
    limit: number,
  ): Promise<Session[]> {
    const plan = planSessions(filter, await this.#cover(filter, scope), after);
    const found = await readPlan<SessionDocument>(this.#models.sessions.collection, plan, limit);
    return found.map((document) => decodeSession(document).entity);
  }

  async listTasks(
    filter: TaskFilter,
    scope: ProjectScope,
    after: ListPlace | undefined,
    limit: number,
  ): Promise<Task[]> {
    const plan = planTasks(filter, await this.#cover(filter, scope), after);
    const found = await readPlan<TaskDocument>(this.#models.tasks.collection, plan, limit);
    return found.map((document) => decodeTask(document).entity);
  }

  /** A key for prefixes reaches whatever projects there are now: one step in an index for each. */
  async #cover({ project_id }: SessionFilter | TaskFilter, scope: ProjectScope): Promise<Coverage> {
    if (project_id !== undefined) return [project_id];
    if (scope.isAll) return "all";
    const ids = new Set(scope.ids);
    for (const range of prefixRanges(scope)) {
      if (ids.size > MERGED_PROJECTS) return scope;
      const found = await within(
        WAIT_MS,
        this.#models.sessions.distinct("project_id", { project_id: range }, DOCUMENTS).exec(),
      );
      for (const projectId of found) ids.add(projectId);
    }
    return ids.size > MERGED_PROJECTS ? scope : [...ids];
  }

  async readHistory(
    projectId: string,
    sessionId: string,
    beforeSeq: number | undefined,
    limit: number,
  ): Promise<HistoryEntry[]> {
    const found = await within(
      WAIT_MS,
      this.#models.log
        .aggregate<{ _id: ReturnType<typeof logKey>; at: Date; changes: LogChange[] }>(
          [
            {
              $match: {
                "_id.p": projectId,
                "changes.session_id": sessionId,
                "_id.s": { $lt: beforeSeq ?? MAX_SEQ },
              },
            },
            { $sort: { "_id.s": -1 } },
            { $limit: limit },
            // An entry holds what was committed together, of other sessions too: those stay there.
            {
              $project: {
                at: 1,
                changes: { $filter: { input: "$changes", cond: { $eq: ["$$this.session_id", sessionId] } } },
              },
            },
          ],
          { ...ENTRIES, hint: { "_id.p": 1, "changes.session_id": 1, "_id.s": -1 } },
        )
        .exec(),
    );
    return found.map(({ _id, at, changes }) => ({ from_seq: _id.s, at: at.toISOString(), changes }));
  }

  async readHeartbeats(keys: readonly string[]): Promise<ReadonlyMap<string, HeartbeatInfo>> {
    const [key] = keys;
    if (keys.length !== 1 || key === undefined) {
      const stored = await within(WAIT_MS, this.#beats.read(keys));
      return new Map([...stored].map(([of, { info }]) => [of, info]));
    }
    const stored = await this.#beatReads.read(key);
    return new Map(stored === undefined ? [] : [[key, stored.info]]);
  }
}

async function readOne<D extends object>(collection: mongoose.Collection, key: string): Promise<D | null> {
  const [found] = await within(WAIT_MS, find<D>(collection, { filter: { _id: key }, limit: 1, ...DOCUMENTS }));
  return found ?? null;
}

async function readByKeys(
  collection: mongoose.Collection,
  keys: readonly string[],
): Promise<ReadonlyMap<string, SessionDocument>> {
  const filter = { _id: keys.length === 1 ? keys[0] : { $in: keys } };
  const found = await find<SessionDocument>(collection, { filter, limit: keys.length, ...DOCUMENTS });
  return new Map(found.filter(isThere).map((document) => [document._id, document]));
}

/** In lists of everything tombstones come last: they have no time. */
function isThere(document: object): boolean {
  return !isTombstone(document);
}

async function readPlan<D extends object>(
  collection: mongoose.Collection,
  plan: ListPlan,
  limit: number,
): Promise<D[]> {
  const { parts, sort, hint } = plan;
  const found: D[] = [];
  for (const filter of parts) {
    if (found.length === limit) break;
    const query = { filter, sort, limit: limit - found.length, ...(hint === undefined ? {} : { hint }), ...DOCUMENTS };
    found.push(...(await within(WAIT_MS, find<D>(collection, query))));
  }
  return found.filter(isThere);
}

/** By the driver itself: mongoose's way of asking costs as much as the rest of such a read. */
function find<D extends object>(collection: mongoose.Collection, query: Find): Promise<D[]> {
  return findAll<D>(databaseOf(collection.conn), collection.name, query);
}
