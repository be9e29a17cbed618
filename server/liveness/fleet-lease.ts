import type { Lease } from "../../shared/messages/lease.ts";
import type { BOUNDS } from "../bounds.ts";
import { stepsFor, stretched } from "../domain/fleet-lease.ts";
import type { Logger } from "../ports.ts";
import type { ActiveTime } from "./active-time.ts";

interface Options {
  /** As configured; a fleet never gets less. */
  readonly base: Lease;
  readonly maxBeatsPerSecond: number;
  /** Agents that are connected to this hub now. */
  readonly agents: () => number;
  /** Tells all of them, within `leaseTellMs`. */
  readonly tell: (lease: Lease) => void;
  readonly active: Pick<ActiveTime, "now">;
  readonly log: Logger;
  readonly bounds: Pick<typeof BOUNDS, "fleetCheckMs" | "leaseTellMs">;
}

/**
 * The lease of this hub's agents: interval and ttl grow with their number, so that the rate of heartbeats stays bounded.
 * A longer ttl counts at once, for everybody; a shorter one when every agent has heard of the shorter interval.
 */
export class FleetLease {
  readonly #options: Options;
  readonly #timer: NodeJS.Timeout;
  #steps = 0;
  #current: Lease;
  /** A longer ttl that agents were told before, and the active time until which it counts. */
  #former = { ttlMs: 0, until: 0 };

  constructor(options: Options) {
    this.#options = options;
    this.#current = options.base;
    this.#timer = setInterval(() => this.#check(), options.bounds.fleetCheckMs);
  }

  /** What agents are told now. */
  get current(): Lease {
    return this.#current;
  }

  /** How long an agent may be silent, milliseconds. */
  get ttlMs(): number {
    const { ttlMs, until } = this.#former;
    return this.#options.active.now() < until ? Math.max(ttlMs, this.#current.ttl_ms) : this.#current.ttl_ms;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #check(): void {
    const { base, maxBeatsPerSecond, active, bounds, tell, log } = this.#options;
    const agents = this.#options.agents();
    const steps = stepsFor(agents, base, maxBeatsPerSecond, this.#steps);
    if (steps === this.#steps) return;
    const ttlMs = this.ttlMs;
    // The last heartbeat at the former pace may come right before its agent hears of the new one.
    if (steps < this.#steps) this.#former = { ttlMs, until: active.now() + bounds.leaseTellMs + ttlMs };
    this.#steps = steps;
    this.#current = stretched(base, steps);
    log.info({ agents, ...this.#current }, "the lease follows the number of agents");
    tell(this.#current);
  }
}
