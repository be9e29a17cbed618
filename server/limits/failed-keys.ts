import type { BOUNDS } from "../bounds.ts";
import type { Clock, Logger } from "../ports.ts";
import type { Shared, SharedUse } from "./shared-counts.ts";

interface Options {
  /** Failed keys of one address in a minute, after which it is not listened to; 0: no limit. */
  readonly perMinute: number;
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Logger;
  readonly bounds: Pick<typeof BOUNDS, "failingAddresses">;
}

interface Failures {
  count: number;
  untold: number;
  /** Monotonic. */
  readonly endsAt: number;
}

const MINUTE_MS = 60_000;

/**
 * Keys that failed, by the address they came from: guessing is given up before a key is looked at. Good keys count
 * nothing, since a whole office or a balancer may be one address.
 */
export class FailedKeys implements Shared {
  /** Since the start. */
  readonly counts = { failed: 0, refused: 0 };
  readonly #options: Options;
  /** In the order in which their minutes end. */
  readonly #failures = new Map<string, Failures>();

  constructor(options: Options) {
    this.#options = options;
  }

  /** Milliseconds for which nothing from this address is listened to, or undefined. */
  refusedFor(address: string): number | undefined {
    const { perMinute, clock } = this.#options;
    const failures = this.#failures.get(address);
    if (failures === undefined || failures.count < perMinute) return undefined;
    const restMs = failures.endsAt - clock.monotonic();
    if (restMs <= 0) return undefined;
    this.counts.refused += 1;
    return Math.ceil(restMs);
  }

  onFailure(address: string): void {
    const { perMinute, clock } = this.#options;
    this.counts.failed += 1;
    if (perMinute === 0) return;
    const now = clock.monotonic();
    this.#forgetEnded(now);
    const failures = this.#failures.get(address) ?? this.#begin(address, now);
    failures.untold += 1;
    this.#raise(address, failures, failures.count + 1);
  }

  untold(): SharedUse[] {
    const untold: SharedUse[] = [];
    for (const [name, failures] of this.#failures) {
      if (failures.untold > 0) untold.push({ name, count: failures.untold });
      failures.untold = 0;
    }
    return untold;
  }

  told({ name }: SharedUse, total: number): void {
    const failures = this.#failures.get(name);
    if (failures !== undefined && total > failures.count) this.#raise(name, failures, total);
  }

  #raise(address: string, failures: Failures, count: number): void {
    const { perMinute, log } = this.#options;
    const isNews = failures.count < perMinute && count >= perMinute;
    failures.count = count;
    if (isNews) log.warn({ ip: address, failed: count }, "too many failed keys from one address: refused for a minute");
  }

  #begin(address: string, now: number): Failures {
    const [oldest] = this.#failures.keys();
    const isFull = this.#failures.size >= this.#options.bounds.failingAddresses;
    if (isFull && oldest !== undefined) this.#failures.delete(oldest);
    const failures = { count: 0, untold: 0, endsAt: now + MINUTE_MS };
    this.#failures.set(address, failures);
    return failures;
  }

  #forgetEnded(now: number): void {
    for (const [address, { endsAt }] of this.#failures) {
      if (endsAt > now) return;
      this.#failures.delete(address);
    }
  }
}
