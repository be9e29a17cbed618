import type { mongo } from "mongoose";
import { sessionKey } from "../../shared/ids.ts";
import { Family } from "../domain/records.ts";
import type { Base, ProjectionBatch } from "../ports.ts";
import {
  decodeSession,
  decodeTask,
  encodeSession,
  encodeTask,
  type SessionDocument,
  type TaskDocument,
} from "./codec.ts";
import { DURABLE, MAJORITY } from "./database.ts";
import { inSlices } from "./in-slices.ts";
import { replaceOlder } from "./replace-older.ts";

/** Documents that MongoDB sends at once. */
const BATCH = 1_000;

/** Collections `base_sessions` and `base_tasks`: as `sessions` and `tasks`, as of the change before the log's first. */
export class MongoBase implements Base {
  readonly #db: mongo.Db;
  readonly #sessions: mongo.Collection<SessionDocument>;
  readonly #tasks: mongo.Collection<TaskDocument>;

  constructor(db: mongo.Db) {
    this.#db = db;
    const options = { readConcern: MAJORITY, readPreference: "primary" } as const;
    this.#sessions = db.collection("base_sessions", options);
    this.#tasks = db.collection("base_tasks", options);
  }

  async write(batch: ProjectionBatch): Promise<void> {
    await Promise.all([
      replaceOlder(this.#db, "base_sessions", batch.sessions.map(encodeSession), DURABLE),
      replaceOlder(this.#db, "base_tasks", batch.tasks.map(encodeTask), DURABLE),
    ]);
  }

  async readFamilies(projectId: string, sessionIds: readonly string[]): Promise<Map<string, Family>> {
    const families = new Map(sessionIds.map((sessionId) => [sessionId, new Family()]));
    if (sessionIds.length === 0) return families;
    const keys = sessionIds.map((sessionId) => sessionKey(projectId, sessionId));
    const [sessions, tasks] = await Promise.all([
      this.#sessions.find({ _id: { $in: keys } }).toArray(),
      this.#tasks.find({ $or: keys.map((key) => ({ _id: keysBelow(key) })) }).toArray(),
    ]);
    for (const document of sessions) {
      const family = families.get(document.session_id);
      if (family !== undefined) family.session = decodeSession(document);
    }
    for (const document of tasks) families.get(document.session_id)?.tasks.set(document.task_id, decodeTask(document));
    return families;
  }

  async *readAll(projectId: string): AsyncIterable<ProjectionBatch> {
    const ofProject = { _id: keysBelow(projectId) };
    const options = { batchSize: BATCH };
    for await (const sessions of inSlices(this.#sessions.find(ofProject, options), decodeSession)) {
      yield { sessions, tasks: [] };
    }
    for await (const tasks of inSlices(this.#tasks.find(ofProject, options), decodeTask)) yield { sessions: [], tasks };
  }
}

/** Keys that begin with this one and "/": "0" follows "/". */
function keysBelow(key: string) {
  return { $gt: `${key}/`, $lt: `${key}0` };
}
