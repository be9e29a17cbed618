import type { Clock } from "../ports.ts";
import { pause } from "../timing.ts";
import type { Turn } from "./turns.ts";

/** A client's connection, as far as it can be sent elsewhere. */
export interface Movable {
  readonly isGone: boolean;
  askToMove(reconnectAfterMs: number): void;
  /** Lets it read what waits, the reason last, and ends it within moments whatever it does. */
  close(): void;
}

interface Moving {
  readonly connection: Movable;
  readonly turn: Turn;
  stage: "waiting" | "told" | "closed";
}

const TICK_MS = 20;
/** One that was closed is gone by then: its client has had the time to read why, and to answer. */
const GONE_MS = 3_000;

/** Moves each connection in the turn of the same index. Resolves when all are gone, or some time after the last turn. */
export async function moveAll(
  connections: readonly Movable[],
  turns: readonly Turn[],
  clock: Pick<Clock, "monotonic">,
): Promise<void> {
  const begunAt = clock.monotonic();
  const lastAt = turns.reduce((last, { closedAt }) => Math.max(last, closedAt), 0) + GONE_MS;
  let left: Moving[] = turns.flatMap((turn, index) => {
    const connection = connections[index];
    return connection === undefined ? [] : [{ connection, turn, stage: "waiting" }];
  });
  for (;;) {
    const now = clock.monotonic() - begunAt;
    left = left.filter(({ connection }) => !connection.isGone);
    if (left.length === 0 || now > lastAt) return;
    for (const one of left) step(one, now);
    await pause(TICK_MS);
  }
}

function step(one: Moving, now: number): void {
  const { connection, turn } = one;
  if (one.stage === "waiting" && now >= turn.toldAt) {
    one.stage = "told";
    connection.askToMove(turn.reconnectAfterMs);
  } else if (one.stage === "told" && now >= turn.closedAt) {
    one.stage = "closed";
    connection.close();
  }
}
