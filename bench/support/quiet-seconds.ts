import { readFileSync } from "node:fs";

/** Ticks of all cores in one second beyond which a second is not quiet: 5 % of one core. */
const QUIET_TICKS = 5;

/**
 * Which seconds this machine had for itself. A virtual machine whose neighbours work waits for its cores, so every
 * server on it, whatever it does, has a long tail then; Linux counts that time as stolen.
 */
export class QuietSeconds {
  readonly #seconds: { readonly fromMs: number; readonly toMs: number; readonly isQuiet: boolean }[] = [];
  readonly #timer: NodeJS.Timeout;
  #last = { atMs: performance.now(), stolen: stolenTicks() };

  constructor() {
    this.#timer = setInterval(() => this.#look(), 1_000);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#look();
  }

  /** Whether nobody took anything from when something began (`performance.now()`) until it ended. */
  has(fromMs: number, toMs: number): boolean {
    return this.#seconds.every((second) => second.isQuiet || second.toMs < fromMs || second.fromMs > toMs);
  }

  #look(): void {
    const now = { atMs: performance.now(), stolen: stolenTicks() };
    const seconds = Math.max(1, (now.atMs - this.#last.atMs) / 1_000);
    const isQuiet = now.stolen - this.#last.stolen < QUIET_TICKS * seconds;
    this.#seconds.push({ fromMs: this.#last.atMs, toMs: now.atMs, isQuiet });
    this.#last = now;
  }
}

/** Hundredths of a second that other machines on the same hardware took from this one's cores. */
function stolenTicks(): number {
  return Number(/^cpu +(?:\d+ ){7}(\d+)/.exec(readFileSync("/proc/stat", "utf8"))?.[1] ?? 0);
}
