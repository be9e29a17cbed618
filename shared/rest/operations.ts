import { z } from "zod";
import { Timestamp } from "../entities.ts";

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

/** A hub process as the hub that was asked sees it. What it does not know is absent, or `unknown`. */
export const HubView = z.object({
  hub_id: z.string(),
  /** The hub that was asked. */
  self: z.boolean(),
  /** `dead`: its number stands still. `gone`: it has sessions and no number. `unknown`: not watched for long enough. */
  state: z.enum(["alive", "dead", "gone", "unknown"]),
  started_at: Timestamp.exactOptional(),
  /** Sessions `online` or `stale` that name it. */
  sessions: Count.exactOptional(),
  /** Connections with API keys, tokens aside, as it told within the last seconds. */
  key_connections: Count.exactOptional(),
});
export type HubView = z.infer<typeof HubView>;

export const HubList = z.object({ items: z.array(HubView).readonly(), length: Count });

/** Figures of one hub: those of `/metrics`, since its start where they are counts. */
export const HubStats = z.object({
  hub_id: z.string(),
  version: z.string(),
  uptime_s: Count,
  state: z.enum(["serving", "draining", "held"]),
  log_level: z.string(),
  connections: z.object({ agents: Count, viewers: Count, event_streams: Count }),
  /** Whose leases this hub holds. */
  sessions: Count,
  unanswered_messages: Count,
  heartbeats: Count,
  writer: z.object({
    entries: Count,
    changes: Count,
    lost_races: Count,
    unknown_appends: Count,
    /** Commands that wait to be durable or are under way, and their approximate size. */
    open_jobs: Count,
    open_bytes: Count,
  }),
  fan_out: z.object({
    mode: z.enum(["off", "live", "degraded"]),
    reason: z.string().exactOptional(),
    received: Count,
    garbage: Count,
    dropped: Count,
    pending_bytes: Count,
  }),
  /** Absent while it does not answer. */
  mongodb_latency_ms: z.number().min(0).exactOptional(),
  event_loop_lag_ms: z.number().min(0),
  memory: z.object({ rss_bytes: Count, heap_used_bytes: Count, heap_total_bytes: Count, external_bytes: Count }),
});
export type HubStats = z.infer<typeof HubStats>;

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
const Level = z.enum(LOG_LEVELS);
export type Level = z.infer<typeof Level>;

/** A day is long enough to look for anything. */
export const MOST_LOG_LEVEL_MINUTES = 24 * 60;

export const LogLevelRequest = z.object({
  level: Level,
  /** For so long; without it until the hub ends. */
  minutes: z.int().min(1).max(MOST_LOG_LEVEL_MINUTES).optional(),
});

export const LogLevelAnswer = z.object({
  hub_id: z.string(),
  before: Level,
  level: Level,
  /** When the level goes back by itself, and to which. */
  until: Timestamp.exactOptional(),
  afterwards: Level.exactOptional(),
});
export type LogLevelAnswer = z.infer<typeof LogLevelAnswer>;
