import type { Heartbeat, HeartbeatTaken } from "../../../shared/messages/heartbeat.ts";
import type { Heartbeats } from "../../liveness/heartbeats.ts";
import { accepted, type Outcome } from "../../writer/outcome.ts";
import type { AgentConnection } from "../agent-connection.ts";

/** `heartbeat`: a few assignments in memory, no database. */
export function takeHeartbeat(
  heartbeats: Heartbeats,
  connection: AgentConnection,
  message: Heartbeat,
): Outcome<HeartbeatTaken> {
  const rejected: { session_id: string; code: "FENCED" | "NOT_FOUND" }[] = [];
  for (const beat of message.sessions) {
    const owned = connection.owned.get(beat.session_id);
    if (owned !== undefined && owned.incarnation === beat.incarnation) {
      heartbeats.onBeat(owned, beat);
    } else {
      const isFenced =
        owned === undefined ? connection.taken.has(beat.session_id) : owned.incarnation > beat.incarnation;
      rejected.push({ session_id: beat.session_id, code: isFenced ? "FENCED" : "NOT_FOUND" });
    }
  }
  return accepted(rejected.length === 0 ? {} : { rejected });
}
