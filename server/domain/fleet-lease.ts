import type { Lease } from "../../shared/messages/lease.ts";

/** A lease that has to stretch becomes a quarter longer, so that agents hear of it now and then and not at each connect. */
const STEP = 1.25;

/** The fleet must have become so much smaller than a step before the lease shrinks again. */
const SLACK = 1.1;

/**
 * How many steps the lease is stretched so that all agents together send at most `maxBeatsPerSecond` heartbeats: the
 * least number for a growing fleet, and the present one until clearly fewer would do.
 */
export function stepsFor(agents: number, base: Lease, maxBeatsPerSecond: number, present: number): number {
  const needed = steps(agents, base, maxBeatsPerSecond);
  if (needed >= present) return needed;
  return Math.min(present, steps(agents * SLACK, base, maxBeatsPerSecond));
}

/** Interval and ttl grow in the same proportion: as many heartbeats may get lost as before. */
export function stretched({ interval_ms, ttl_ms }: Lease, steps: number): Lease {
  const factor = STEP ** steps;
  return { interval_ms: Math.round(interval_ms * factor), ttl_ms: Math.round(ttl_ms * factor) };
}

function steps(agents: number, { interval_ms }: Lease, maxBeatsPerSecond: number): number {
  const leastIntervalMs = (agents * 1_000) / maxBeatsPerSecond;
  // Rounded, for logarithms that are a hair beside a whole number.
  const exact = Math.log(leastIntervalMs / interval_ms) / Math.log(STEP);
  return Math.max(0, Math.ceil(Math.round(exact * 1e6) / 1e6));
}
