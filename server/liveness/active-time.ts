import type { BOUNDS } from "../bounds.ts";
import type { Clock } from "../ports.ts";

interface Options {
  readonly clock: Clock;
  readonly bounds: Pick<typeof BOUNDS, "activeTickMs" | "stallMs">;
}

/**
 * Milliseconds in which this hub was really running. Between two ticks of its timer at most `activeTickMs + stallMs`
 * count: what goes beyond is a stall (a blocked event loop, SIGSTOP, a paused machine), in which the hub could not have
 * heard anybody. So whatever is measured in this time is extended by every stall, also while the late tick has not
 * run yet. It never goes back, and never faster than the monotonic clock.
 *
 * ```
 *  monotonic  ──┬────┬────┬─────────────────────┬────┬──
 *  ticks        │    │    │ stalled             │    │
 *  active     ──┴────┴────┴────── (stands still)┴────┴──
 * ```
 */
export class ActiveTime {
  readonly #clock: Clock;
  readonly #mostPerTickMs: number;
  readonly #timer: NodeJS.Timeout;
  /** Active time at the last tick, and the monotonic time of it. */
  #activeAtTick = 0;
  #tickedAt: number;

  constructor({ clock, bounds }: Options) {
    this.#clock = clock;
    this.#mostPerTickMs = bounds.activeTickMs + bounds.stallMs;
    this.#tickedAt = clock.monotonic();
    this.#timer = setInterval(() => this.#tick(), bounds.activeTickMs);
  }

  /** Milliseconds since this object was made, stalls left out. */
  now(): number {
    return this.#activeAtTick + Math.min(this.#clock.monotonic() - this.#tickedAt, this.#mostPerTickMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    this.#activeAtTick = this.now();
    this.#tickedAt = this.#clock.monotonic();
  }
}
