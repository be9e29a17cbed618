import type { BOUNDS } from "../bounds.ts";
import type { Clock } from "../ports.ts";
import { BURST_SECONDS } from "./connection-rate.ts";
import { PacedBucket } from "./paced-bucket.ts";
import type { Shared, SharedUse } from "./shared-counts.ts";

interface Options {
  /** What one key may use a second; 0: no limit. */
  readonly perSecond: number;
  readonly clock: Pick<Clock, "monotonic">;
  readonly random: () => number;
  readonly bounds: Pick<
    typeof BOUNDS,
    "ratedKeys" | "ratePauseLeastMs" | "ratePauseMostMs" | "sharedCountsMs" | "sharedShare"
  >;
}

interface Use {
  readonly bucket: PacedBucket;
  /** Taken here since the other hubs were told. */
  untold: number;
  /** The count of all hubs that was read last. */
  total: number | undefined;
}

/**
 * What each key uses a second, over all its connections. Decided here, in memory; what the key uses at other hubs is
 * charged to the same bucket when it becomes known, so that nobody ever waits for Redis or is refused because of it.
 */
export class KeyRates implements Shared {
  readonly #options: Options;
  readonly #perMs: number;
  readonly #uses = new Map<string, Use>();

  constructor(options: Options) {
    this.#options = options;
    this.#perMs = options.perSecond / 1_000;
  }

  /** Takes one: undefined; or not: the milliseconds after which to come back. */
  take(keyId: string, now: number): number | undefined {
    if (this.#perMs === 0) return undefined;
    const use = this.#uses.get(keyId) ?? this.#add(keyId, now);
    const pauseMs = use.bucket.take(now, this.#perMs);
    if (pauseMs === undefined) use.untold += 1;
    return pauseMs;
  }

  /** Keys that used a share of their limit here. One that uses less need not be known elsewhere: it is small change. */
  untold(): SharedUse[] {
    const { perSecond, clock, bounds } = this.#options;
    const worthTelling = (perSecond * bounds.sharedCountsMs) / 1_000 / bounds.sharedShare;
    const now = clock.monotonic();
    const untold: SharedUse[] = [];
    for (const [name, use] of this.#uses) {
      if (use.untold >= worthTelling) untold.push({ name, count: use.untold });
      // As if it had never been there.
      else if (use.bucket.isFull(now, this.#perMs)) this.#uses.delete(name);
      use.untold = 0;
    }
    return untold;
  }

  told({ name, count }: SharedUse, total: number): void {
    const use = this.#uses.get(name);
    if (use === undefined) return;
    // The count of all hubs begins anew from time to time. One that is read for the first time says nothing about when.
    const before = use.total === undefined ? total - count : use.total > total ? 0 : use.total;
    use.total = total;
    const elsewhere = Math.max(0, total - before - count);
    use.bucket.charge(elsewhere, this.#options.clock.monotonic(), this.#perMs);
  }

  #add(keyId: string, now: number): Use {
    const { perSecond, random, bounds } = this.#options;
    const [oldest] = this.#uses.keys();
    if (oldest !== undefined && this.#uses.size >= bounds.ratedKeys) this.#uses.delete(oldest);
    const bucket = new PacedBucket({
      burst: perSecond * BURST_SECONDS,
      now,
      pauseLeastMs: bounds.ratePauseLeastMs,
      pauseMostMs: bounds.ratePauseMostMs,
      random,
    });
    const use = { bucket, untold: 0, total: undefined };
    this.#uses.set(keyId, use);
    return use;
  }
}
