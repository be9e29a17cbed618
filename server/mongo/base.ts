import type { mongo } from "mongoose";
import { sessionKey } from "../../shared/ids.ts";
import type { Family } from "../domain/records.ts";
import type { Base, ProjectionBatch } from "../ports.ts";
import { decodeSession, decodeTask, type SessionDocument, type TaskDocument } from "./codec.ts";
import { DURABLE, MAJORITY } from "./database.ts";
import { familiesOf, keysBelow, writeBatch } from "./families.ts";
import { inSlices } from "./in-slices.ts";

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

  write(batch: ProjectionBatch): Promise<void> {
    return writeBatch(this.#db, { sessions: "base_sessions", tasks: "base_tasks" }, batch, DURABLE);
  }

  async readFamilies(projectId: string, sessionIds: readonly string[]): Promise<Map<string, Family>> {
    if (sessionIds.length === 0) return new Map();
    const keys = sessionIds.map((sessionId) => sessionKey(projectId, sessionId));
    const [sessions, tasks] = await Promise.all([
      this.#sessions.find({ _id: { $in: keys } }).toArray(),
      this.#tasks.find({ $or: keys.map((key) => ({ _id: keysBelow(key) })) }).toArray(),
    ]);
    return familiesOf(projectId, sessionIds, { sessions, tasks });
  }

  async *readAll(projectId: string): AsyncIterable<ProjectionBatch> {
    const ofProject = { _id: keysBelow(projectId), removed_at: { $exists: false } };
    const options = { batchSize: BATCH };
    for await (const sessions of inSlices(this.#sessions.find(ofProject, options), decodeSession)) {
      yield { sessions, tasks: [] };
    }
    for await (const tasks of inSlices(this.#tasks.find(ofProject, options), decodeTask)) yield { sessions: [], tasks };
  }
}
