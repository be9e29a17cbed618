import type { BOUNDS } from "../bounds.ts";

/** When one connection moves; milliseconds since the begin. */
export interface Turn {
  /** It is asked to come back elsewhere… */
  readonly toldAt: number;
  /** …after this long… */
  readonly reconnectAfterMs: number;
  /** …and is closed when it has not gone by then. */
  readonly closedAt: number;
}

/** Clients stretch the pause that they are asked for by up to this, each by its own chance. */
const STRETCH = 1.25;

/**
 * Everybody hears early, a batch a turn of the event loop, and leaves one after the other, so that the other hubs get
 * them at a steady rate: `drainMovesPerSecond`, or faster where that would take more than the time there is.
 *
 * @param budgetMs all of them are closed by then
 */
export function planTurns(
  count: number,
  budgetMs: number,
  bounds: Pick<typeof BOUNDS, "drainMovesPerSecond" | "drainToldAtOnce" | "drainTellPauseMs" | "drainPatienceMs">,
): Turn[] {
  const longestMs = Math.max(0, (budgetMs - bounds.drainPatienceMs) / STRETCH);
  const spreadMs = Math.min((count / bounds.drainMovesPerSecond) * 1_000, longestMs);
  return Array.from({ length: count }, (_, index) => {
    const batch = Math.floor(index / bounds.drainToldAtOnce);
    const toldAt = Math.min(batch * bounds.drainTellPauseMs, longestMs);
    const reconnectAfterMs = Math.round(Math.max(0, (spreadMs * index) / count - toldAt));
    return { toldAt, reconnectAfterMs, closedAt: toldAt + reconnectAfterMs * STRETCH + bounds.drainPatienceMs };
  });
}
