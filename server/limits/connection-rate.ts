import type { BOUNDS } from "../bounds.ts";
import { PacedBucket } from "./paced-bucket.ts";

type Bounds = Pick<typeof BOUNDS, "ratePauseLeastMs" | "ratePauseMostMs" | "floodMs" | "floodFactor">;

/** A client that may not go on at this pace. */
export interface OverRate {
  readonly retryAfterMs: number;
  /** `flooding`: it heard so many refusals that it will be closed when this goes on. `over`: now. */
  readonly patience: "lasts" | "flooding" | "over";
  /** The first refusal of a flood, or the first that warns: worth a line in the log. */
  readonly isNews: boolean;
}

/** Limits allow so many seconds' worth at once. */
export const BURST_SECONDS = 2;

/**
 * What one connection sends of one kind, a second. Who keeps to the answers is paced; who goes on at `floodFactor` times
 * the rate for `floodMs` is warned at half of that time and then given up. Refusals are counted, so that whoever stays
 * below the rate costs two additions.
 */
export class ConnectionRate {
  readonly #perSecond: number;
  readonly #bounds: Bounds;
  readonly #bucket: PacedBucket;
  /** Monotonic time of the first refusal that counts now. */
  #since = Number.NEGATIVE_INFINITY;
  #refused = 0;
  #isWarned = false;

  constructor(perSecond: number, now: number, random: () => number, bounds: Bounds) {
    this.#perSecond = perSecond;
    this.#bounds = bounds;
    this.#bucket = new PacedBucket({
      burst: perSecond * BURST_SECONDS,
      now,
      pauseLeastMs: bounds.ratePauseLeastMs,
      pauseMostMs: bounds.ratePauseMostMs,
      random,
    });
  }

  take(now: number): OverRate | undefined {
    const retryAfterMs = this.#bucket.take(now, this.#perSecond / 1_000);
    return retryAfterMs === undefined ? undefined : this.#refuse(retryAfterMs, now);
  }

  #refuse(retryAfterMs: number, now: number): OverRate {
    const { floodMs } = this.#bounds;
    const elapsed = now - this.#since;
    if (elapsed >= floodMs && !this.#isFlood(elapsed)) return this.#begin(retryAfterMs, now);
    this.#refused += 1;
    if (elapsed >= floodMs) return { retryAfterMs, patience: "over", isNews: true };
    const isFlooding = elapsed >= floodMs / 2 && this.#isFlood(elapsed);
    const isNews = isFlooding && !this.#isWarned;
    this.#isWarned ||= isFlooding;
    return { retryAfterMs, patience: isFlooding ? "flooding" : "lasts", isNews };
  }

  #begin(retryAfterMs: number, now: number): OverRate {
    this.#since = now;
    this.#refused = 1;
    this.#isWarned = false;
    return { retryAfterMs, patience: "lasts", isNews: true };
  }

  /** What was taken is the rate, and a burst; the rest of so many times the rate was refused. */
  #isFlood(elapsedMs: number): boolean {
    const seconds = elapsedMs / 1_000;
    return this.#refused >= this.#perSecond * ((this.#bounds.floodFactor - 1) * seconds - BURST_SECONDS);
  }
}
