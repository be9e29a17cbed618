import type { Stage } from "./test-hub.ts";
import type { Wire } from "./wire.ts";

/** Sends heartbeats for these sessions of the connection, first incarnation, until the test ends. */
export function keepBeating(stage: Stage, wire: Wire, sessionIds: readonly string[], everyMs = 200): void {
  const sessions = sessionIds.map((session_id) => ({ session_id, incarnation: 1 }));
  const timer = setInterval(() => wire.socket.emit("heartbeat", { sessions }), everyMs);
  stage.add(timer, clearInterval);
}
