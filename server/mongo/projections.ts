import type { mongo } from "mongoose";
import { sessionKey } from "../../shared/ids.ts";
import type { ProjectScope } from "../domain/project-scope.ts";
import type { Family, SessionRecord, TaskRecord } from "../domain/records.ts";
import type { ProjectedRange, ProjectionBatch, Projections, ProjectMark, WindowedDocuments } from "../ports.ts";
import { decodeSession, decodeTask, type SessionDocument, type TaskDocument } from "./codec.ts";
import { DURABLE, FAST, MAJORITY } from "./database.ts";
import { familiesOf, keysBelow, writeBatch } from "./families.ts";
import { inScope } from "./in-scope.ts";

/** No id looks like this. */
const NO_PROJECT = "/";

const FINAL_STATUSES = ["COMPLETED", "FAILED", "CANCELLED"];

/** As in models.ts. Left to itself mongod may walk all tasks of the project. */
const TASKS_BY_SESSION = { session_id: 1, created_at: -1, _id: -1 } as const;

interface ProjectDocument {
  _id: string;
  epoch: string;
  created_at: Date;
  projected_seq: number;
  log_start: number;
  forgotten_seq?: number;
}

/** Documents of a project that are decoded in one turn of the event loop: some milliseconds. */
const WINDOW_BATCH = 1_000;

/** Documents in `sessions`, `tasks` and `projects`: views of the log that never move backwards. */
export class MongoProjections implements Projections {
  readonly #db: mongo.Db;
  readonly #sessions: mongo.Collection<SessionDocument>;
  readonly #tasks: mongo.Collection<TaskDocument>;
  readonly #projects: mongo.Collection<ProjectDocument>;

  constructor(db: mongo.Db) {
    this.#db = db;
    const options = { readConcern: MAJORITY, readPreference: "primary" } as const;
    this.#sessions = db.collection("sessions", options);
    this.#tasks = db.collection("tasks", options);
    this.#projects = db.collection("projects", options);
  }

  write(batch: ProjectionBatch): Promise<void> {
    return writeBatch(this.#db, { sessions: "sessions", tasks: "tasks" }, batch, FAST);
  }

  /** An update that changes nothing waits for everything before it. */
  async settle(): Promise<void> {
    await this.#projects.updateOne({ _id: NO_PROJECT }, { $set: { projected_seq: 0 } }, { writeConcern: DURABLE });
  }

  async readMark(projectId: string): Promise<ProjectMark | undefined> {
    const found = await this.#projects.findOne({ _id: projectId });
    if (found === null) return undefined;
    const { epoch, projected_seq, log_start, forgotten_seq = 0 } = found;
    return { epoch, projectedSeq: projected_seq, logStart: log_start, forgottenSeq: forgotten_seq };
  }

  async createMark(
    projectId: string,
    { epoch, logStart }: Pick<ProjectMark, "epoch" | "logStart">,
    createdAt: string,
  ): Promise<void> {
    await this.#projects.updateOne(
      { _id: projectId },
      { $setOnInsert: { epoch, created_at: new Date(createdAt), projected_seq: 0, log_start: logStart } },
      { upsert: true, writeConcern: DURABLE },
    );
  }

  async raiseLogStart(projectId: string, logStart: number): Promise<void> {
    await this.#projects.updateOne(
      { _id: projectId, log_start: { $lt: logStart } },
      { $set: { log_start: logStart } },
      { writeConcern: DURABLE },
    );
  }

  async raiseForgotten(projectId: string, seq: number): Promise<void> {
    await this.#projects.updateOne({ _id: projectId }, { $max: { forgotten_seq: seq } }, { writeConcern: DURABLE });
  }

  async findSessionIds(
    projectId: string,
    { createdBefore, after }: { readonly createdBefore: string; readonly after: string | undefined },
    limit: number,
  ): Promise<string[]> {
    const { $gt, $lt } = keysBelow(projectId);
    const _id = { $gt: after === undefined ? $gt : sessionKey(projectId, after), $lt };
    const filter = { _id, created_at: { $lte: new Date(createdBefore) } };
    const found = await this.#sessions
      .find(filter, { projection: { session_id: 1 } })
      .sort({ _id: 1 })
      .limit(limit)
      .toArray();
    return found.map(({ session_id }) => session_id);
  }

  async findEndedSessionIds(projectId: string, endedBefore: string, limit: number): Promise<string[]> {
    const ended = { status: { $in: FINAL_STATUSES }, ended_at: { $lt: new Date(endedBefore) } };
    const filter = { project_id: projectId, ...ended } as mongo.Filter<SessionDocument>;
    const found = await this.#sessions
      .find(filter, { projection: { session_id: 1 } })
      .limit(limit)
      .toArray();
    return found.map(({ session_id }) => session_id);
  }

  async raiseMarks(ranges: readonly ProjectedRange[]): Promise<ReadonlyMap<string, number>> {
    await this.#projects.bulkWrite(
      ranges.map(({ projectId, from, to, epoch }) => ({
        updateOne: {
          filter: { _id: projectId, projected_seq: { $gte: from - 1, $lt: to } },
          update: { $set: { projected_seq: to, ...(epoch === undefined ? {} : { epoch }) } },
        },
      })),
      { ordered: false, writeConcern: FAST },
    );
    return this.readProjectedSeqs(ranges.map(({ projectId }) => projectId));
  }

  async readProjectedSeqs(projectIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const found = await this.#projects
      .find({ _id: { $in: [...projectIds] } }, { projection: { projected_seq: 1 }, readConcern: { level: "local" } })
      .toArray();
    return new Map(found.map((project) => [project._id, project.projected_seq]));
  }

  async readFamilies(projectId: string, sessionIds: readonly string[]): Promise<Map<string, Family>> {
    const keys = sessionIds.map((sessionId) => sessionKey(projectId, sessionId));
    const [sessions, tasks] = await Promise.all([
      this.#sessions.find({ _id: { $in: keys } }).toArray(),
      this.#tasks
        // One range a session, and the key decides on the project: 2 µs of mongod's CPU a session, against 45 for a
        // range of keys each.
        .find({ session_id: { $in: [...sessionIds] }, _id: keysBelow(projectId) })
        .hint(TASKS_BY_SESSION)
        .toArray(),
    ]);
    return familiesOf(projectId, sessionIds, { sessions, tasks });
  }

  async readWindow(projectId: string, endedSince: string): Promise<WindowedDocuments> {
    const since = new Date(endedSince);
    const window = {
      project_id: projectId,
      $or: [{ status: { $nin: FINAL_STATUSES } }, { ended_at: { $gte: since } }],
    };
    const options = { batchSize: WINDOW_BATCH };
    const sessions: SessionRecord[] = [];
    const shown = new Set<string>();
    for await (const document of this.#sessions.find(window as mongo.Filter<SessionDocument>, options)) {
      sessions.push(decodeSession(document));
      shown.add(document.session_id);
    }
    const tasks: TaskRecord[] = [];
    for await (const document of this.#tasks.find(window as mongo.Filter<TaskDocument>, options)) {
      if (shown.has(document.session_id)) tasks.push(decodeTask(document));
    }
    return { sessions, tasks };
  }

  async findSessionsById(
    sessionId: string,
    scope: ProjectScope,
  ): Promise<{ projectId: string; incarnation: number }[]> {
    const found = await this.#sessions
      .find(
        { session_id: sessionId, ...inScope(scope) },
        { projection: { project_id: 1, incarnation: 1 }, readConcern: { level: "local" } },
      )
      .sort({ created_at: -1 })
      .limit(20)
      .toArray();
    return found.map(({ project_id, incarnation }) => ({ projectId: project_id, incarnation }));
  }
}
