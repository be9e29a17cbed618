interface Options {
  /** What may be taken at once; at least 1. */
  readonly burst: number;
  /** Monotonic time, milliseconds; the bucket is full then. */
  readonly now: number;
  /** The shortest and the longest pause that is asked for. */
  readonly pauseLeastMs: number;
  readonly pauseMostMs: number;
  readonly random: () => number;
}

/**
 * A bucket that fills at a pace. Who finds it empty is told when to come back: the next place in a line that moves at the
 * same pace, so that those who were refused together come back one after the other, however many they are. A few numbers,
 * no timer, nothing remembered of whom it refused.
 */
export class PacedBucket {
  readonly #options: Options;
  /** What may be taken now; a fraction of one counts on. */
  #tokens: number;
  #filledAt: number;
  /** Monotonic time of the last place in the line. */
  #lineEndsAt = 0;

  constructor(options: Options) {
    this.#options = options;
    this.#tokens = options.burst;
    this.#filledAt = options.now;
  }

  /** Takes one: undefined; or not: the milliseconds after which to come back. `perMs` is the pace at the moment. */
  take(now: number, perMs: number): number | undefined {
    this.#fill(now, perMs);
    if (this.#tokens < 1) return this.#nextPlace(now, perMs);
    this.#tokens -= 1;
    return undefined;
  }

  /** What was taken elsewhere, with no more debt than one burst. */
  charge(count: number, now: number, perMs: number): void {
    this.#fill(now, perMs);
    this.#tokens = Math.max(-this.#options.burst, this.#tokens - count);
  }

  /** Whether it is as if it had never been used. */
  isFull(now: number, perMs: number): boolean {
    this.#fill(now, perMs);
    return this.#tokens >= this.#options.burst;
  }

  #fill(now: number, perMs: number): void {
    this.#tokens = Math.min(this.#options.burst, this.#tokens + (now - this.#filledAt) * perMs);
    this.#filledAt = now;
  }

  #nextPlace(now: number, perMs: number): number {
    const { pauseLeastMs: least, pauseMostMs: most, random } = this.#options;
    const place = Math.max(this.#lineEndsAt, now + least) + 1 / perMs;
    // A line that long says nothing any more; what counts is that they do not come together.
    if (place - now > most) return Math.round(least + random() * (most - least));
    this.#lineEndsAt = place;
    return Math.round(place - now);
  }
}
