/**
 * Pause before attempt n (1, 2, …): a random part of a ceiling that doubles from 1 s to 5 s, so that a thousand clients that
 * lost the same hub come back evenly spread. The cap stays far below the hub's grace for agents (30 s).
 */
export function backoffMs(attempt: number, random: number): number {
  const ceiling = Math.min(CAP_MS, BASE_MS * 2 ** Math.min(attempt - 1, 10));
  return Math.round(LEAST_MS + (ceiling - LEAST_MS) * random);
}

/** Never a busy loop, whatever chance says. */
const LEAST_MS = 50;
const BASE_MS = 1_000;
const CAP_MS = 5_000;

/** A pause that the hub asked for is never shortened; up to a quarter more spreads those who were asked together. */
export function askedPauseMs(askedMs: number, random: number): number {
  return Math.round(askedMs * (1 + random / 4));
}
