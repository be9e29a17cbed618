import mongoose from "mongoose";
import type { BeatDocument } from "./beats.ts";
import type { EntryDocument, SessionDocument, TaskDocument } from "./codec.ts";

/**
 * The collections as mongoose knows them: names, fields that may be queried, indexes. Documents are written by
 * change-log.ts and projections.ts, whole and already validated; models serve reads and the care of indexes.
 */
const options = { strict: true, strictQuery: "throw", versionKey: false, autoIndex: false, autoCreate: false } as const;

/** Fields of a session of which one is asked for by its value. */
export const SESSION_FILTERS = ["status", "liveness", "machine_id", "environment"] as const;

/** Sessions without the counter, which are most, are in none of its indexes. */
export const ATTEMPTS = "metadata.recovery_attempts";
const RECOVERED = { partialFilterExpression: { [ATTEMPTS]: { $gte: 1 } } };

const sessionSchema = new mongoose.Schema<SessionDocument>(
  {
    _id: String,
    session_id: String,
    project_id: String,
    status: String,
    liveness: String,
    machine_id: String,
    agent_id: String,
    hub_id: String,
    environment: String,
    metadata: Object,
    waiting_for: Object,
    parent_session_id: String,
    resumed_from: String,
    incarnation: Number,
    created_at: Date,
    updated_at: Date,
    ended_at: Date,
    lost_at: Date,
    version: Number,
    seq: Number,
    applied_seq: Number,
    last_op: Number,
    last_op_seq: Number,
    edit_version: Number,
  },
  { ...options, collection: "sessions" },
);
sessionSchema.index({ created_at: -1, _id: -1 });
sessionSchema.index({ project_id: 1, created_at: -1, _id: -1 });
// What operators ask for, newest first: by each of these, in a project and in all.
for (const field of SESSION_FILTERS) {
  sessionSchema.index({ [field]: 1, created_at: -1, _id: -1 });
  sessionSchema.index({ project_id: 1, [field]: 1, created_at: -1, _id: -1 });
}
// What changed since, and who came back how often: each runs by its own field.
sessionSchema.index({ updated_at: -1, _id: -1 });
sessionSchema.index({ project_id: 1, updated_at: -1, _id: -1 });
sessionSchema.index({ [ATTEMPTS]: -1, _id: -1, created_at: -1 }, RECOVERED);
sessionSchema.index({ project_id: 1, [ATTEMPTS]: -1, _id: -1, created_at: -1 }, RECOVERED);
// A bare session_id in REST, and the retry of an op on another connection.
sessionSchema.index({ session_id: 1, created_at: -1 });
// What lives in a project: its snapshot.
sessionSchema.index({ project_id: 1, status: 1, ended_at: -1 });
// What a dead hub had, and all that a verdict names. Liveness first: hubs of the past stay named in ended sessions.
sessionSchema.index({ liveness: 1, hub_id: 1, _id: 1, incarnation: 1 });
// Who is lost, and for how long.
sessionSchema.index({ lost_at: 1 }, { partialFilterExpression: { liveness: "lost" } });

forgetTombstones(sessionSchema);

const taskSchema = new mongoose.Schema<TaskDocument>(
  {
    _id: String,
    task_id: String,
    session_id: String,
    project_id: String,
    title: String,
    status: String,
    progress: Number,
    metadata: Object,
    created_at: Date,
    updated_at: Date,
    ended_at: Date,
    version: Number,
    seq: Number,
    applied_seq: Number,
    edit_version: Number,
  },
  { ...options, collection: "tasks" },
);
taskSchema.index({ created_at: -1, _id: -1 });
taskSchema.index({ project_id: 1, created_at: -1, _id: -1 });
// The tasks of one session; a session_id is seldom in more than one project.
taskSchema.index({ session_id: 1, created_at: -1, _id: -1 });
taskSchema.index({ project_id: 1, status: 1, ended_at: -1 });

forgetTombstones(taskSchema);

const entrySchema = new mongoose.Schema<EntryDocument>(
  { _id: Object, to_seq: Number, epoch: String, hub_id: String, at: Date, changes: [Object] },
  { ...options, collection: "log" },
);
// History of one session, its tasks' changes included, newest first.
entrySchema.index({ "_id.p": 1, "changes.session_id": 1, "_id.s": -1 });

const beatSchema = new mongoose.Schema<BeatDocument>(
  {
    _id: String,
    hub_id: String,
    incarnation: Number,
    last_heartbeat_at: Date,
    last_activity_at: Date,
    heartbeat: Object,
    still: Boolean,
  },
  { ...options, collection: "beats" },
);
// Longer than hubs take to write back what they heard before a session was removed.
beatSchema.index({ removed_at: 1 }, { sparse: true, expireAfterSeconds: 60 });
// Whose work stands still: few, and of those few the ones that were heard of lately.
beatSchema.index({ last_heartbeat_at: -1 }, { partialFilterExpression: { still: true } });

const projectSchema = new mongoose.Schema(
  { _id: String, epoch: String, created_at: Date, projected_seq: Number, log_start: Number },
  { ...options, collection: "projects" },
);

const baseSessionSchema = new mongoose.Schema({ _id: String }, { ...options, collection: "base_sessions" });
forgetTombstones(baseSessionSchema);
const baseTaskSchema = new mongoose.Schema({ _id: String }, { ...options, collection: "base_tasks" });
forgetTombstones(baseTaskSchema);

export type Models = ReturnType<typeof modelsOf>;

export function modelsOf(connection: mongoose.Connection) {
  return {
    sessions: connection.model("Session", sessionSchema),
    tasks: connection.model("Task", taskSchema),
    log: connection.model("Entry", entrySchema),
    projects: connection.model("Project", projectSchema),
    baseSessions: connection.model("BaseSession", baseSessionSchema),
    baseTasks: connection.model("BaseTask", baseTaskSchema),
    beats: connection.model("Beat", beatSchema),
  } as const;
}

/** Long after nobody can have anything on the way that is older; documents without that field are not in the index. */
function forgetTombstones(schema: { index(fields: object, options: object): unknown }): void {
  schema.index({ removed_at: 1 }, { sparse: true, expireAfterSeconds: 24 * 3_600 });
}
