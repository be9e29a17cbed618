import { z } from "zod";
import { Id } from "./ids.ts";
import type { JsonObject } from "./json.ts";
import { DEFAULT_LIMITS } from "./limits.ts";

/** ISO 8601 UTC with milliseconds, e.g. `2026-11-22T06:00:00.000Z`; such strings sort by time. */
export const Timestamp = z.iso.datetime({ precision: 3 });

export const SessionStatus = z.enum(["ACTIVE", "IDLE", "WAITING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED"]);
export type SessionStatus = z.infer<typeof SessionStatus>;

export const FinalStatus = z.enum(["COMPLETED", "FAILED", "CANCELLED"]);
export type FinalStatus = z.infer<typeof FinalStatus>;

/** The hub's verdict from the lease, never the agent's word. */
export const Liveness = z.enum(["online", "stale", "lost", "ended", "unmonitored"]);
export type Liveness = z.infer<typeof Liveness>;

export const TaskStatus = z.enum(["PENDING", "IN_PROGRESS", "BLOCKED", "COMPLETED", "FAILED", "CANCELLED"]);
export type TaskStatus = z.infer<typeof TaskStatus>;

export function isFinal(status: SessionStatus | TaskStatus): status is FinalStatus {
  return status === "COMPLETED" || status === "FAILED" || status === "CANCELLED";
}

/** Free JSON object of an entity: no null outside arrays, at most 16 KB, 8 levels, 64 keys an object. */
export const Metadata = z.custom<JsonObject>(
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
  "must be an object",
);

export const WaitingKind = z.enum(["input", "permission", "review"]);

/** What a person has to answer, as the agent says it; the hub adds `since`. */
export const WaitingRequest = z.object({
  kind: WaitingKind,
  question: z.string().max(DEFAULT_LIMITS.question_chars),
  options: z.array(z.string().max(DEFAULT_LIMITS.title_chars)).max(DEFAULT_LIMITS.options).optional(),
  deadline: z.iso.datetime({ offset: true }).optional(),
});
export type WaitingRequest = z.infer<typeof WaitingRequest>;

export const WaitingFor = WaitingRequest.extend({ since: Timestamp });
export type WaitingFor = z.infer<typeof WaitingFor>;

/** One agent's run on one machine in one project; its identity is (project_id, session_id). */
export const Session = z.object({
  session_id: Id,
  project_id: Id,
  status: SessionStatus,
  liveness: Liveness,
  machine_id: Id,
  agent_id: Id.optional(),
  hub_id: z.string().optional(),
  environment: z.string(),
  metadata: Metadata,
  waiting_for: WaitingFor.optional(),
  parent_session_id: Id.optional(),
  resumed_from: Id.optional(),
  /** Fencing number of the owner; 0: no agent has opened it yet. */
  incarnation: z.int().min(0),
  created_at: Timestamp,
  updated_at: Timestamp,
  ended_at: Timestamp.optional(),
  lost_at: Timestamp.optional(),
  /** Number of changes to this entity. */
  version: z.int().min(1),
  /** Position in the project's log of the last of them. */
  seq: z.int().min(1),
});
export type Session = z.infer<typeof Session>;

/** Unit of work inside one session; its identity is (project_id, session_id, task_id). */
export const Task = z.object({
  task_id: Id,
  session_id: Id,
  project_id: Id,
  title: z.string(),
  status: TaskStatus,
  progress: z.number().min(0).max(1).optional(),
  metadata: Metadata,
  created_at: Timestamp,
  updated_at: Timestamp,
  ended_at: Timestamp.optional(),
  version: z.int().min(1),
  seq: z.int().min(1),
});
export type Task = z.infer<typeof Task>;

export const ActorKind = z.enum(["agent", "operator", "hub"]);
export const Actor = z.object({ kind: ActorKind, id: z.string() });
export type Actor = z.infer<typeof Actor>;

/** `removed`: the session is forgotten, its tasks with it; its `patch` is empty. */
export const ChangeType = z.enum(["created", "reopened", "ended", "liveness", "updated", "removed"]);
export type ChangeType = z.infer<typeof ChangeType>;

const changeFields = {
  seq: z.int().min(1),
  at: Timestamp,
  session_id: Id,
  version: z.int().min(1),
  type: ChangeType,
  actor: Actor,
  /** Merge patch without `version`, `seq`, `updated_at`: the receiver takes those from the change. */
  patch: Metadata.optional(),
};

export const SessionChange = z.object({
  kind: z.literal("session"),
  id: Id,
  ...changeFields,
  state: Session.optional(),
});

export const TaskChange = z.object({ kind: z.literal("task"), id: Id, ...changeFields, state: Task.optional() });

/** One accepted mutation of one entity: `patch` leads from version - 1 to `version`, `state` replaces the whole. */
export const Change = z.discriminatedUnion("kind", [SessionChange, TaskChange]);
export type Change = z.infer<typeof Change>;
