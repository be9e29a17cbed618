import type { Clock } from "./ports.ts";

/** This machine's clocks; the wall clock is moved by the database's offset once it is known. */
export class SystemClock implements Clock {
  #offsetMs = 0;

  now(): number {
    return Date.now() + this.#offsetMs;
  }

  monotonic(): number {
    return performance.now();
  }

  /** @param offsetMs database time minus this machine's */
  correct(offsetMs: number): void {
    this.#offsetMs = offsetMs;
  }
}
