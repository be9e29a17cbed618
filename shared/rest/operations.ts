import { z } from "zod";

export const Alive = z.object({ status: z.literal("ok"), uptime_s: z.int().min(0), version: z.string() });

const MongodbCheck = z.object({ status: z.enum(["ok", "unavailable"]), latency_ms: z.number().min(0).exactOptional() });

const Count = z.int().min(0);

const RedisCheck = z.object({
  status: z.enum(["ok", "degraded"]),
  reason: z.string().exactOptional(),
  trouble: z.string().exactOptional(),
  received: Count,
  garbage: Count,
  dropped: Count,
  pending_bytes: Count,
});

/** Whether the hub can do its work now; `checks` for operators alone. */
export const Ready = z.object({
  status: z.enum(["ok", "degraded", "unavailable"]),
  checks: z.object({ mongodb: MongodbCheck, redis: RedisCheck.exactOptional() }).exactOptional(),
});
export type Ready = z.infer<typeof Ready>;

/** How a drain stands. */
export const DrainProgress = z.object({
  hub_id: z.string(),
  state: z.enum(["serving", "draining", "held"]),
  /** It will stay when it has drained. */
  hold: z.boolean(),
  under_way: Count,
  connections: Count,
  /** When the drain began. */
  connections_before: Count,
});
export type DrainProgress = z.infer<typeof DrainProgress>;

export const DrainRequest = z.object({ hold: z.boolean().default(false) });
