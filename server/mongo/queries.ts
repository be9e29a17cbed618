import type mongoose from "mongoose";
import type { Session, Task } from "../../shared/entities.ts";
import { sessionKey, taskKey } from "../../shared/ids.ts";
import type { HeartbeatInfo } from "../../shared/messages/frames.ts";
import type { ProjectScope } from "../domain/project-scope.ts";
import type { LogChange } from "../domain/records.ts";
import { within } from "../patience.ts";
import type { HistoryEntry, ListPlace, Queries, SessionFilter, TaskFilter } from "../queries/ports.ts";
import type { MongoBeats } from "./beats.ts";
import { decodeSession, decodeTask, type SessionDocument, type TaskDocument } from "./codec.ts";
import { type logKey, MAX_SEQ } from "./database.ts";
import { inScope } from "./in-scope.ts";
import type { Models } from "./models.ts";

/** Bound of one query at the server, and of the wait for its answer. */
const MAX_TIME_MS = 1_000;
const WAIT_MS = 2_000;

/** Documents come from durable entries only and are there before the ack: the primary's own word on them is true. */
const DOCUMENTS = { readConcern: { level: "local" }, readPreference: "primary", maxTimeMS: MAX_TIME_MS } as const;

/** Entries count from the moment a majority has them. */
const ENTRIES = { readConcern: { level: "majority" }, readPreference: "primary", maxTimeMS: MAX_TIME_MS } as const;

/** Index of the tasks of one session. */
const SESSION_TASKS = { session_id: 1, created_at: -1, _id: -1 } as const;

const NEWEST_FIRST = { created_at: -1, _id: -1 } as const;

/** REST's reads, each over one index. */
export class MongoQueries implements Queries {
  readonly #models: Models;
  readonly #beats: MongoBeats;

  constructor(models: Models, beats: MongoBeats) {
    this.#models = models;
    this.#beats = beats;
  }

  async findSession(projectId: string, sessionId: string): Promise<Session | undefined> {
    const found = await within(
      WAIT_MS,
      this.#models.sessions
        .findOne({ _id: sessionKey(projectId, sessionId) }, null, DOCUMENTS)
        .lean<SessionDocument | null>(),
    );
    return found === null ? undefined : decodeSession(found).entity;
  }

  async findTask(projectId: string, sessionId: string, taskId: string): Promise<Task | undefined> {
    const found = await within(
      WAIT_MS,
      this.#models.tasks
        .findOne({ _id: taskKey(projectId, sessionId, taskId) }, null, DOCUMENTS)
        .lean<TaskDocument | null>(),
    );
    return found === null ? undefined : decodeTask(found).entity;
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

  async listSessions(
    filter: SessionFilter,
    scope: ProjectScope,
    after: ListPlace | undefined,
    limit: number,
  ): Promise<Session[]> {
    const { min_recovery_attempts: attempts = 0, ...common } = filter;
    const found = await within(
      WAIT_MS,
      this.#models.sessions
        .find(
          conditions<SessionDocument>(common, scope, after, {
            // Without the counter it is 0: then every session fits.
            ...(attempts > 0 ? { "metadata.recovery_attempts": { $gte: attempts } } : {}),
          }),
          null,
          DOCUMENTS,
        )
        .sort(NEWEST_FIRST)
        .limit(limit)
        .lean<SessionDocument[]>(),
    );
    return found.map((document) => decodeSession(document).entity);
  }

  async listTasks(
    filter: TaskFilter,
    scope: ProjectScope,
    after: ListPlace | undefined,
    limit: number,
  ): Promise<Task[]> {
    const found = await within(
      WAIT_MS,
      this.#models.tasks
        .find(conditions<TaskDocument>(filter, scope, after), null, {
          ...DOCUMENTS,
          // A session's tasks are few; left alone the planner may walk everybody's, from new to old.
          ...(filter.session_id === undefined ? {} : { hint: SESSION_TASKS }),
        })
        .sort(NEWEST_FIRST)
        .limit(limit)
        .lean<TaskDocument[]>(),
    );
    return found.map((document) => decodeTask(document).entity);
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
    const stored = await within(WAIT_MS, this.#beats.read(keys));
    return new Map([...stored].map(([key, { info }]) => [key, info]));
  }
}

/** Only validated scalars get here; a value never becomes an operator. */
function conditions<D>(
  filter: SessionFilter | TaskFilter,
  scope: ProjectScope,
  after: ListPlace | undefined,
  more: Readonly<Record<string, unknown>> = {},
): mongoose.QueryFilter<D> {
  const { created_from, created_to, updated_from, ...equal } = filter;
  const created = {
    ...(created_from === undefined ? {} : { $gte: new Date(created_from) }),
    ...(created_to === undefined ? {} : { $lt: new Date(created_to) }),
  };
  const result: Record<string, unknown> = {
    ...Object.fromEntries(Object.entries(equal).filter(([, value]) => value !== undefined)),
    ...more,
  };
  if (Object.keys(created).length > 0) result.created_at = created;
  if (updated_from !== undefined) result.updated_at = { $gte: new Date(updated_from) };
  const both: Record<string, unknown>[] = [];
  if (filter.project_id === undefined && !scope.isAll) both.push(inScope(scope));
  if (after !== undefined) {
    const at = new Date(after.created_at);
    // The first part bounds the range of the index, the second settles equal times.
    both.push({ created_at: { $lte: at } }, { $or: [{ created_at: { $lt: at } }, { _id: { $lt: after.key } }] });
  }
  if (both.length > 0) result.$and = both;
  return result as mongoose.QueryFilter<D>;
}
