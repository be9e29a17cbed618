import type { BOUNDS } from "../bounds.ts";
import type { Clock } from "../ports.ts";

interface Options {
  readonly clock: Clock;
  readonly bounds: typeof BOUNDS;
  /** An append may start that could not before. */
  readonly onFree: () => void;
}

/**
 * When the next append may start: one at a time, so that what comes in meanwhile shares the next one, and under load not
 * sooner than a short window after the last, since a journaled majority write costs mongod about 1.5 ms of CPU whatever
 * it carries. One that is slow keeps nobody waiting: after a moment another may start beside it.
 *
 * Measured with 200 agents on 100 projects: 15 % more changes a second and 18 % less CPU of the hub for each.
 */
export class AppendPace {
  readonly #options: Options;
  /** Appends without an answer, and those of them that are not slow yet. */
  #open = 0;
  #prompt = 0;
  #lastStart = Number.NEGATIVE_INFINITY;
  #lastPublishes = 0;

  constructor(options: Options) {
    this.#options = options;
  }

  get isFree(): boolean {
    return this.#prompt === 0 && this.#open < this.#options.bounds.appendsInFlight;
  }

  /** Milliseconds until the window after the last append is over; 0 without load. */
  get waitMs(): number {
    const { bounds, clock } = this.#options;
    if (this.#lastPublishes < bounds.appendWindowPublishes) return 0;
    return Math.max(0, this.#lastStart + bounds.appendWindowMs - clock.monotonic());
  }

  /** Waits for the answer of an append that carries so many publishes. */
  async follow<T>(publishes: number, answer: Promise<T>): Promise<T> {
    const { bounds, clock, onFree } = this.#options;
    this.#lastStart = clock.monotonic();
    this.#lastPublishes = publishes;
    this.#open += 1;
    this.#prompt += 1;
    let isPrompt = true;
    const turnSlow = () => {
      isPrompt = false;
      this.#prompt -= 1;
      onFree();
    };
    const timer = setTimeout(turnSlow, bounds.slowAppendMs);
    try {
      return await answer;
    } finally {
      clearTimeout(timer);
      if (isPrompt) this.#prompt -= 1;
      this.#open -= 1;
    }
  }
}
