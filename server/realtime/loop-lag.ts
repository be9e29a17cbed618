import type { BOUNDS } from "../bounds.ts";
import type { Clock } from "../ports.ts";

interface Options {
  readonly clock: Pick<Clock, "monotonic">;
  readonly bounds: Pick<typeof BOUNDS, "loopLagEveryMs">;
}

/** How late the event loop comes to what is due: the longest of late, half of it forgotten with every look. */
export class LoopLag {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #everyMs: number;
  readonly #timer: NodeJS.Timeout;
  #lookedAt: number;
  #lagMs = 0;

  constructor({ clock, bounds }: Options) {
    this.#clock = clock;
    this.#everyMs = bounds.loopLagEveryMs;
    this.#lookedAt = clock.monotonic();
    this.#timer = setInterval(() => this.#look(), this.#everyMs);
  }

  /** Milliseconds. */
  get ms(): number {
    return Math.max(this.#lagMs, this.#lateMs());
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #lateMs(): number {
    return Math.max(0, this.#clock.monotonic() - this.#lookedAt - this.#everyMs);
  }

  #look(): void {
    this.#lagMs = Math.max(this.#lagMs / 2, this.#lateMs());
    this.#lookedAt = this.#clock.monotonic();
  }
}
