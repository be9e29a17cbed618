/**
 * Pause before attempt n (1, 2, …): 500 ms doubling to 5 s, of it a random half to the whole, so that a thousand clients
 * that lost the same hub do not come back at the same moment. The cap stays far below the hub's grace for agents (30 s).
 */
export function backoffMs(attempt: number, random: number): number {
  const ceiling = Math.min(CAP_MS, BASE_MS * 2 ** Math.min(attempt - 1, 10));
  return Math.round(ceiling * (0.5 + random / 2));
}

const BASE_MS = 500;
const CAP_MS = 5_000;

/** A pause that the hub asked for is never shortened; up to a quarter more spreads those who were asked together. */
export function askedPauseMs(askedMs: number, random: number): number {
  return Math.round(askedMs * (1 + random / 4));
}
