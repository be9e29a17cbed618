import { z } from "zod";
import type { Change, Session, Task } from "../entities.ts";
import { Id } from "../ids.ts";
import { Position } from "../position.ts";

/** Viewer → hub: follow a project, from a position on when there is one. */
export const ProjectJoin = z.object({
  project_id: Id,
  since: Position.optional(),
  heartbeats: z.boolean().default(false),
});
export type ProjectJoin = z.infer<typeof ProjectJoin>;

export type SnapshotReason = "first" | "epoch" | "expired" | "too_far";

export interface JoinedWithSnapshot {
  readonly mode: "snapshot";
  readonly reason: SnapshotReason;
  readonly epoch: string;
  readonly seq: number;
  readonly sessions: readonly Session[];
  readonly tasks: readonly Task[];
  readonly next_cursor?: string;
}

export interface JoinedWithReplay {
  readonly mode: "replay";
  readonly epoch: string;
  readonly from_seq: number;
  readonly seq: number;
  readonly changes: readonly Change[];
}

export type ProjectJoined = JoinedWithSnapshot | JoinedWithReplay;
