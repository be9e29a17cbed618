/** Time and chance as arguments, so that tests hold both. */
export interface Clock {
  /** Milliseconds of a clock that never jumps. */
  now(): number;
  /** Runs `task` once, `ms` from now; the answer cancels it. */
  after(ms: number, task: () => void): Cancel;
  /** In [0, 1). */
  random(): number;
}

export type Cancel = () => void;

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, task) {
    const timer = setTimeout(task, ms);
    return () => clearTimeout(timer);
  },
  random: Math.random,
};
