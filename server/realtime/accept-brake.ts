import type { BOUNDS } from "../bounds.ts";
import { PacedBucket } from "../limits/paced-bucket.ts";
import type { Clock } from "../ports.ts";

interface Options {
  /** New connections a second that are taken; 0: all. */
  readonly perSecond: number;
  /** How late the event loop is, milliseconds. */
  readonly lagMs: () => number;
  readonly clock: Pick<Clock, "monotonic">;
  readonly random: () => number;
  readonly bounds: Pick<typeof BOUNDS, "acceptBurstMs" | "acceptLagMs" | "acceptPauseLeastMs" | "acceptPauseMostMs">;
}

/** A hub that can hardly keep up still takes this share of its pace, or nobody would ever come in. */
const LEAST_SHARE = 1 / 8;

/** How quickly a hub takes new connections: a bucket that fills at its pace, more slowly while the event loop is late. */
export class AcceptBrake {
  readonly #options: Options;
  readonly #bucket: PacedBucket;

  constructor(options: Options) {
    this.#options = options;
    const { perSecond, clock, random, bounds } = options;
    this.#bucket = new PacedBucket({
      burst: Math.max(1, (perSecond * bounds.acceptBurstMs) / 1_000),
      now: clock.monotonic(),
      pauseLeastMs: bounds.acceptPauseLeastMs,
      pauseMostMs: bounds.acceptPauseMostMs,
      random,
    });
  }

  /** Takes one more connection: undefined; or not: the milliseconds after which it may come back. */
  take(): number | undefined {
    const { perSecond, clock } = this.#options;
    if (perSecond === 0) return undefined;
    return this.#bucket.take(clock.monotonic(), (perSecond / 1_000) * this.#share());
  }

  #share(): number {
    const { lagMs, bounds } = this.#options;
    return Math.max(LEAST_SHARE, Math.min(1, bounds.acceptLagMs / Math.max(1, lagMs())));
  }
}
