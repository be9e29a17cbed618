import { createHmac } from "node:crypto";
import { RateLimiterRedis } from "rate-limiter-flexible";
import type { BOUNDS } from "../bounds.ts";
import type { SharedCounter } from "../ports.ts";
import type { RedisAddress } from "./redis-url.ts";
import { SafeRedis } from "./safe-redis.ts";

interface Options {
  readonly address: RedisAddress;
  readonly prefix: string;
  readonly hubId: string;
  /** Known to the hubs of one database only: names in Redis say nothing to others. */
  readonly secret: string;
  readonly bounds: typeof BOUNDS;
}

/**
 * Counts of all hubs, each for a minute from its first use. The library makes counting and expiry one step in Redis; its
 * own way of deciding, a round trip for each request, is not used. A connection of its own, so that entries do not wait.
 */
export class RedisCounter implements SharedCounter {
  readonly #client: SafeRedis;
  readonly #limiter: RateLimiterRedis;
  readonly #secret: string;

  constructor({ address, prefix, hubId, secret, bounds }: Options) {
    this.#secret = secret;
    this.#client = new SafeRedis(address, `state-hub-${hubId}-limits`, bounds.redisCommandMs);
    // It goes on trying; what is counted meanwhile is refused at once.
    this.#client.on("error", () => {});
    this.#client.connect().catch(() => {});
    this.#limiter = new RateLimiterRedis({
      storeClient: this.#client,
      keyPrefix: `${prefix}:limits`,
      // Counts only: what is too much the hub decides.
      points: Number.MAX_SAFE_INTEGER,
      duration: COUNTED_S,
    });
  }

  async add(what: string, name: string, count: number): Promise<number> {
    const hidden = createHmac("sha256", this.#secret).update(name).digest("hex").slice(0, NAME_DIGITS);
    const { consumedPoints } = await this.#limiter.penalty(`${what}:${hidden}`, count);
    return consumedPoints;
  }

  stop(): void {
    this.#client.disconnect();
  }
}

const COUNTED_S = 60;
const NAME_DIGITS = 24;
