import { z } from "zod";
import { Id } from "../ids.ts";
import { DEFAULT_LIMITS } from "../limits.ts";

const Beat = z.object({
  session_id: Id,
  incarnation: z.int().min(1),
  progress: z.number().min(0).max(1).optional(),
  activity: z.string().max(DEFAULT_LIMITS.activity_chars).optional(),
  metrics: z.record(z.string().min(1).max(64), z.number()).optional(),
});
export type Beat = z.infer<typeof Beat>;

/** Agent → hub: still working, for all sessions of the connection at once. Never logged, never queued. */
export const Heartbeat = z.object({
  sessions: z.array(Beat).max(DEFAULT_LIMITS.sessions_per_connection),
});
export type Heartbeat = z.infer<typeof Heartbeat>;

export const HeartbeatTaken = z.object({
  rejected: z
    .array(z.object({ session_id: Id, code: z.enum(["FENCED", "NOT_FOUND"]) }))
    .readonly()
    .exactOptional(),
});
export type HeartbeatTaken = z.infer<typeof HeartbeatTaken>;
