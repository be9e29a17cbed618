import type { Logger } from "../ports.ts";

const SAY_EVERY_MS = 10_000;

/** Tells of slow calls in one line for each interval: on a machine that is slow as a whole, nearly all of them are. */
export class SlowCalls {
  readonly #log: Logger;
  #saidAt = Number.NEGATIVE_INFINITY;
  #unsaid = 0;

  constructor(log: Logger) {
    this.#log = log;
  }

  add(method: string, ms: number, now = performance.now()): void {
    if (now - this.#saidAt < SAY_EVERY_MS) {
      this.#unsaid += 1;
      return;
    }
    this.#log.warn({ method, duration_ms: ms, others_since_last_line: this.#unsaid }, "mongodb was slow");
    this.#saidAt = now;
    this.#unsaid = 0;
  }
}
