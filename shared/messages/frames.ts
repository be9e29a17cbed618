import { z } from "zod";
import { Change, Timestamp } from "../entities.ts";
import { Id } from "../ids.ts";

/** Hub → viewer: one commit. `from_seq` of each frame is the `to_seq` before it plus 1. */
export const ChangesFrame = z.object({
  project_id: Id,
  epoch: z.string(),
  from_seq: z.int().min(1),
  to_seq: z.int().min(1),
  changes: z.array(Change).readonly(),
  /** One element per touched entity, with `state`, instead of every change. */
  conflated: z.literal(true).exactOptional(),
});
export type ChangesFrame = z.infer<typeof ChangesFrame>;

export const HeartbeatInfo = z.object({
  last_heartbeat_at: Timestamp,
  /** Since when the work stands still; absent while the agent has told nothing of its work. */
  last_activity_at: Timestamp.exactOptional(),
  progress: z.number().min(0).max(1).exactOptional(),
  activity: z.string().exactOptional(),
  metrics: z.record(z.string(), z.number()).readonly().exactOptional(),
});
export type HeartbeatInfo = z.infer<typeof HeartbeatInfo>;

/** Hub → viewer: the newest heartbeats, at most once a second; may be lost. */
export const HeartbeatsFrame = z.object({
  project_id: Id,
  at: Timestamp,
  sessions: z.record(Id, HeartbeatInfo).readonly(),
});
export type HeartbeatsFrame = z.infer<typeof HeartbeatsFrame>;

/** Hub → viewer: every 5 s without a changes frame, so that even the loss of the last frame shows. */
export const PositionFrame = z.object({ project_id: Id, epoch: z.string(), seq: z.int().min(0) });
export type PositionFrame = z.infer<typeof PositionFrame>;

/** Hub → viewer: what you hold can no longer be continued; join again without `since`. */
export const ProjectReset = z.object({ project_id: Id, reason: z.string() });
export type ProjectReset = z.infer<typeof ProjectReset>;

/** Hub → viewer: how quickly changes made on other hubs arrive here. */
export const ModeFrame = z.object({ mode: z.enum(["live", "degraded"]), reason: z.string().exactOptional() });
export type ModeFrame = z.infer<typeof ModeFrame>;
