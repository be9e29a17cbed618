import type { Clock } from "../../server/ports.ts";

interface Event {
  readonly at: number;
  readonly order: number;
  readonly task: () => void;
  /** Milliseconds between two runs of an interval. */
  readonly every: number | undefined;
}

const REAL = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  setImmediate: globalThis.setImmediate,
  clearImmediate: globalThis.clearImmediate,
  random: Math.random,
};

/** 2026-11-22T06:00:00.000Z */
const EPOCH = 1_795_327_200_000;

/**
 * Time of a simulation: timers of the whole process run in the order of their due times, one after the other, each
 * after every promise of the one before has settled. A minute passes in milliseconds, and always the same way.
 */
export class VirtualTime implements Clock {
  #now = 0;
  #orders = 0;
  readonly #events = new Map<number, Event>();

  now(): number {
    return EPOCH + Math.floor(this.#now);
  }

  monotonic(): number {
    return this.#now;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#add(ms, resolve, undefined);
    });
  }

  /** Time passes and nothing runs, as while the event loop is blocked: what came due meanwhile runs late. */
  block(ms: number): void {
    this.#now += ms;
  }

  /** Runs `work` and everything it leaves scheduled, until it is done; at most `limitMs` of virtual time. */
  async run<T>(random: () => number, limitMs: number, work: () => Promise<T>): Promise<T> {
    this.#install(random);
    try {
      let outcome: { readonly value: T } | { readonly error: unknown } | undefined;
      work().then(
        (value) => {
          outcome = { value };
        },
        (error: unknown) => {
          outcome = { error };
        },
      );
      for (;;) {
        await new Promise((resolve) => REAL.setImmediate(resolve));
        if (outcome !== undefined) {
          if ("error" in outcome) throw outcome.error;
          return outcome.value;
        }
        this.#step(limitMs);
      }
    } finally {
      this.#uninstall();
    }
  }

  #step(limitMs: number): void {
    let next: [number, Event] | undefined;
    for (const [id, event] of this.#events) {
      const isSooner =
        next === undefined || event.at < next[1].at || (event.at === next[1].at && event.order < next[1].order);
      if (isSooner) next = [id, event];
    }
    if (next === undefined) throw new Error("nothing is scheduled, yet the work is not done");
    const [id, event] = next;
    if (event.at > limitMs) throw new Error(`the work is not done after ${limitMs} ms of virtual time`);
    this.#now = Math.max(this.#now, event.at);
    if (event.every === undefined) this.#events.delete(id);
    else this.#events.set(id, { ...event, at: this.#now + event.every, order: this.#orders++ });
    event.task();
  }

  #add(ms: number, task: () => void, every: number | undefined): number {
    const order = this.#orders++;
    this.#events.set(order, { at: this.#now + Math.max(0, ms), order, task, every });
    return order;
  }

  #handle(id: number): object {
    const handle = { id, ref: () => handle, unref: () => handle, hasRef: () => false };
    return handle;
  }

  #install(random: () => number): void {
    const set =
      (repeats: boolean) =>
      (task: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
        this.#handle(this.#add(ms, () => task(...args), repeats ? Math.max(1, ms) : undefined));
    const clear = (handle: { readonly id: number } | undefined) => {
      if (handle !== undefined) this.#events.delete(handle.id);
    };
    const immediate = (task: (...args: unknown[]) => void, ...args: unknown[]) => set(false)(task, 0, ...args);
    Object.assign(globalThis, {
      setTimeout: set(false),
      clearTimeout: clear,
      setInterval: set(true),
      clearInterval: clear,
      setImmediate: immediate,
      clearImmediate: clear,
    });
    Math.random = random;
  }

  #uninstall(): void {
    const { random, ...timers } = REAL;
    Object.assign(globalThis, timers);
    Math.random = random;
  }
}
