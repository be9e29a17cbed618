import type { BOUNDS } from "../bounds.ts";

/**
 * Whose turn it is to append to a project that several hubs write. The log says so itself: who appended longest ago is
 * next, and may go the moment it hears of the newest entry; each hub behind it leaves the ones before it a turn's time
 * to be heard of. So hubs hardly ever meet, none is passed over, and nothing has to be agreed on. It is advice: where
 * two hubs see it differently, the key of the entry decides as ever, and the loser is next.
 *
 * Measured in the model of test/model/hot-project.ts, 4 hubs with 125 changes/s each, lost races per entry and ack p99:
 * random wait of 0 to 8 ms after a loss 1.7 and 221 ms, doubling up to 64 ms 1.0 and 566 ms (who loses waits longer and
 * loses again), turns 0.03 and 52 ms. A random wait on top of turns makes both worse.
 */
export class Turns {
  readonly #bounds: typeof BOUNDS;
  /** Hubs by the age of their newest entry, oldest first. */
  readonly #hubs = new Set<string>();
  #passedAt = 0;

  constructor(bounds: typeof BOUNDS) {
    this.#bounds = bounds;
  }

  /** An entry of this hub is in the log. `now` is monotonic. */
  pass(hubId: string, now: number): void {
    // Those before it had nothing to append: nobody waits for them any more until they do.
    if (this.#hubs.has(hubId)) this.#dropUntil((first) => first === hubId);
    this.#hubs.delete(hubId);
    this.#hubs.add(hubId);
    this.#dropUntil(() => this.#hubs.size <= this.#bounds.turnHubs);
    this.#passedAt = now;
  }

  /** Monotonic time of the hub's turn; one that has not appended lately need not wait. */
  of(hubId: string): number {
    let before = 0;
    for (const other of this.#hubs) {
      if (other === hubId) return this.#passedAt + before * this.#bounds.turnMs;
      before += 1;
    }
    return this.#passedAt;
  }

  #dropUntil(isReached: (first: string) => boolean): void {
    for (const first of this.#hubs) {
      if (isReached(first)) return;
      this.#hubs.delete(first);
    }
  }
}
