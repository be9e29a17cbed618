import { z } from "zod";
import { Change, Session, Task } from "../entities.ts";
import { Id } from "../ids.ts";
import { Position } from "../position.ts";

/** Viewer → hub: follow a project, from a position on when there is one. */
export const ProjectJoin = z.object({
  project_id: Id,
  since: Position.optional(),
  heartbeats: z.boolean().default(false),
});
export type ProjectJoin = z.infer<typeof ProjectJoin>;

/** Why it is a snapshot and not a replay. */
const SnapshotReason = z.enum(["first", "epoch", "expired", "too_far"]);
export type SnapshotReason = z.infer<typeof SnapshotReason>;

export const JoinedWithSnapshot = z.object({
  mode: z.literal("snapshot"),
  reason: SnapshotReason,
  epoch: z.string(),
  seq: z.int().min(0),
  sessions: z.array(Session).readonly(),
  tasks: z.array(Task).readonly(),
  next_cursor: z.string().exactOptional(),
});
export type JoinedWithSnapshot = z.infer<typeof JoinedWithSnapshot>;

export const JoinedWithReplay = z.object({
  mode: z.literal("replay"),
  epoch: z.string(),
  from_seq: z.int().min(1),
  seq: z.int().min(0),
  changes: z.array(Change).readonly(),
});
export type JoinedWithReplay = z.infer<typeof JoinedWithReplay>;

export const ProjectJoined = z.discriminatedUnion("mode", [JoinedWithSnapshot, JoinedWithReplay]);
export type ProjectJoined = z.infer<typeof ProjectJoined>;
