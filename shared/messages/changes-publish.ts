import { z } from "zod";
import { Metadata, SessionStatus, TaskStatus, WaitingRequest } from "../entities.ts";
import { Id } from "../ids.ts";
import { DEFAULT_LIMITS } from "../limits.ts";

const ExpectedVersion = z.int().min(0);

export const SessionEdit = z.object({
  kind: z.literal("session"),
  status: SessionStatus.optional(),
  metadata: Metadata.optional(),
  waiting_for: WaitingRequest.optional(),
  expected_version: ExpectedVersion.optional(),
});
export type SessionEdit = z.infer<typeof SessionEdit>;

export const TaskEdit = z.object({
  kind: z.literal("task"),
  task_id: Id,
  title: z.string().min(1).max(DEFAULT_LIMITS.title_chars).optional(),
  status: TaskStatus.optional(),
  progress: z.number().min(0).max(1).optional(),
  metadata: Metadata.optional(),
  expected_version: ExpectedVersion.optional(),
});
export type TaskEdit = z.infer<typeof TaskEdit>;

export const Edit = z.discriminatedUnion("kind", [SessionEdit, TaskEdit]);
export type Edit = z.infer<typeof Edit>;

/** Agent → hub: change a session and its tasks, all or none. */
export const ChangesPublish = z.object({
  session_id: Id,
  incarnation: z.int().min(1),
  op: z.int().min(1),
  changes: z.array(Edit).min(1, "must hold at least one change").max(DEFAULT_LIMITS.changes_per_publish),
});
export type ChangesPublish = z.infer<typeof ChangesPublish>;

export const PublishResult = z.object({
  kind: z.enum(["session", "task"]),
  id: Id,
  version: z.int().min(0),
  seq: z.int().min(0),
  changed: z.boolean(),
});
export type PublishResult = z.infer<typeof PublishResult>;

/** Durable in the log (journaled, majority) and visible to REST reads. */
export const Published = z.object({
  epoch: z.string(),
  /** Last of the publish's changes, or the head when nothing changed. */
  seq: z.int().min(0),
  results: z.array(PublishResult).readonly(),
  /** The op was applied before: this is its original answer. */
  duplicate: z.literal(true).exactOptional(),
});
export type Published = z.infer<typeof Published>;
