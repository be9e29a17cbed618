import type { BOUNDS } from "../bounds.ts";
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

/**
 * How quickly a hub takes new connections: a bucket that fills at its pace, more slowly while the event loop is late.
 * Who finds it empty is told when to come back: the next place in a line that moves at the same pace, so that those who
 * were refused together come back one after the other, however many they are.
 */
export class AcceptBrake {
  readonly #options: Options;
  /** Connections that may be taken now; a fraction of one counts on. */
  #tokens: number;
  #filledAt: number;
  /** Monotonic time of the last place in the line. */
  #lineEndsAt = 0;

  constructor(options: Options) {
    this.#options = options;
    this.#tokens = this.#most;
    this.#filledAt = options.clock.monotonic();
  }

  /** Takes one more connection: undefined; or not: the milliseconds after which it may come back. */
  take(): number | undefined {
    const { perSecond, clock } = this.#options;
    if (perSecond === 0) return undefined;
    const now = clock.monotonic();
    const perMs = (perSecond / 1_000) * this.#share();
    this.#tokens = Math.min(this.#most, this.#tokens + (now - this.#filledAt) * perMs);
    this.#filledAt = now;
    if (this.#tokens < 1) return this.#nextPlace(now, perMs);
    this.#tokens -= 1;
    return undefined;
  }

  #nextPlace(now: number, perMs: number): number {
    const { bounds, random } = this.#options;
    const { acceptPauseLeastMs: least, acceptPauseMostMs: most } = bounds;
    const place = Math.max(this.#lineEndsAt, now + least) + 1 / perMs;
    // A line that long says nothing any more; what counts is that they do not come together.
    if (place - now > most) return Math.round(least + random() * (most - least));
    this.#lineEndsAt = place;
    return Math.round(place - now);
  }

  get #most(): number {
    const { perSecond, bounds } = this.#options;
    return Math.max(1, (perSecond * bounds.acceptBurstMs) / 1_000);
  }

  #share(): number {
    const { lagMs, bounds } = this.#options;
    return Math.max(LEAST_SHARE, Math.min(1, bounds.acceptLagMs / Math.max(1, lagMs())));
  }
}
