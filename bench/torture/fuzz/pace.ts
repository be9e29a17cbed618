import { setTimeout as sleep } from "node:timers/promises";

/** So much a second at most, over all who take from it; 0: as much as goes. */
export class Pace {
  readonly #perSecond: number;
  #nextAt = performance.now();

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  async take(count: number): Promise<void> {
    if (this.#perSecond === 0) return;
    const now = performance.now();
    this.#nextAt = Math.max(this.#nextAt, now - 100) + (1_000 * count) / this.#perSecond;
    if (this.#nextAt > now) await sleep(this.#nextAt - now);
  }
}
