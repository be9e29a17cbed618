import type { Limits } from "../shared/limits.ts";
import type { BOUNDS } from "./bounds.ts";
import type { Config } from "./config.ts";
import type { OnStop } from "./lifecycle.ts";
import { RateLimits } from "./limits/rate-limits.ts";
import { SharedCounts } from "./limits/shared-counts.ts";
import type { Clock, Logger } from "./ports.ts";
import { parseRedisUrl } from "./redis/redis-url.ts";

interface Parts {
  readonly config: Config;
  readonly limits: Limits;
  readonly hubId: string;
  /** Known to the hubs of one database only. */
  readonly secret: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

/** The limits that settings may change. */
export function rateSettings(config: Config): Partial<Limits> {
  return {
    publishes_per_second: config.MAX_PUBLISHES_PER_SECOND,
    key_publishes_per_second: config.MAX_KEY_PUBLISHES_PER_SECOND,
    joins_per_second: config.MAX_JOINS_PER_SECOND,
    key_requests_per_second: config.MAX_KEY_REQUESTS_PER_SECOND,
  };
}

/** How much anybody may ask for; over all hubs where there is a Redis. Its client is loaded only then. */
export async function wireLimits(parts: Parts, onStop: OnStop): Promise<RateLimits> {
  const { config, limits, clock, log, bounds } = parts;
  const failedKeysPerMinute = config.MAX_FAILED_KEYS_PER_MINUTE;
  const rates = new RateLimits({ limits, failedKeysPerMinute, clock, random: Math.random, log, bounds });
  const address = config.REDIS_URL === undefined ? undefined : parseRedisUrl(config.REDIS_URL);
  if (address === undefined) return rates;
  const redis = await import("./redis/redis-counter.ts");
  const counter = new redis.RedisCounter({ ...parts, address, prefix: config.REDIS_PREFIX });
  onStop("counts in Redis", () => counter.stop());
  const shared = { publishes: rates.keyPublishes, requests: rates.keyRequests, failures: rates.failedKeys };
  const counts = new SharedCounts({ counter, shared, log, bounds });
  onStop("shared counts", () => counts.stop());
  return rates;
}
