import type { Session } from "./entities.ts";
import type { HeartbeatInfo } from "./messages/frames.ts";

export const DISPLAY_STATES = [
  "working",
  "idle",
  "needs you",
  "paused",
  "stalled",
  "stale",
  "lost",
  "unmonitored",
  "finished",
  "failed",
  "cancelled",
  "unknown",
] as const;
export type DisplayState = (typeof DISPLAY_STATES)[number];

export interface Display {
  readonly state: DisplayState;
  /** One short sentence for a person. */
  readonly reason: string;
  /** When it became so; where nothing tells that, the session's last change: it is so since then at least. */
  readonly since: string;
}

/** What the newest heartbeat says about when; without it, nothing is known of the time between changes. */
export type LastHeard = Pick<HeartbeatInfo, "last_heartbeat_at" | "last_activity_at">;

/** As a hub that is configured for nothing else has it: 10 min. */
export const DEFAULT_STALLED_AFTER_MS = 600_000;

/**
 * What a person should see for a session: one pure function for REST, SDK, CLI and pages. Nothing unknown ever reads
 * as running: a live status counts only while the hub vouches for the agent (`liveness` online). No clock of the reader
 * takes part; only times that hubs wrote are compared.
 *
 * @param stalledAfterMs what `welcome.stalled_after_ms` says; 0: nothing is ever called stalled
 */
export function displayState(
  session: Session,
  heard?: LastHeard,
  stalledAfterMs: number = DEFAULT_STALLED_AFTER_MS,
): Display {
  const { status, liveness, updated_at, ended_at = updated_at } = session;
  if (status === "COMPLETED") return { state: "finished", reason: "completed", since: ended_at };
  if (status === "FAILED") return { state: "failed", reason: "ended as failed", since: ended_at };
  if (status === "CANCELLED") return { state: "cancelled", reason: "cancelled", since: ended_at };
  if (liveness === "lost") {
    return { state: "lost", reason: `its agent is gone${unheard(session)}`, since: session.lost_at ?? updated_at };
  }
  if (liveness === "stale") {
    const reason = `its agent missed its heartbeats${unheard(session)}`;
    return { state: "stale", reason, since: heard?.last_heartbeat_at ?? updated_at };
  }
  if (status === "WAITING") {
    return { state: "needs you", reason: request(session), since: session.waiting_for?.since ?? updated_at };
  }
  if (liveness === "unmonitored") {
    return { state: "unmonitored", reason: "no agent has opened it", since: session.created_at };
  }
  if (liveness !== "online") return { state: "unknown", reason: `liveness is ${liveness}`, since: updated_at };
  switch (status) {
    case "ACTIVE":
      return active(session, heard, stalledAfterMs);
    case "IDLE":
      return { state: "idle", reason: "nothing to do", since: updated_at };
    case "PAUSED":
      return { state: "paused", reason: "paused", since: updated_at };
    default:
      return { state: "unknown", reason: `status is ${String(status satisfies never)}`, since: updated_at };
  }
}

function active(session: Session, heard: LastHeard | undefined, stalledAfterMs: number): Display {
  const working = { state: "working", since: session.updated_at } as const;
  // A heartbeat from before the session's last change says nothing about the time since.
  if (heard === undefined || heard.last_heartbeat_at < session.updated_at) return { ...working, reason: "active" };
  const { last_heartbeat_at, last_activity_at } = heard;
  if (last_activity_at === undefined) return { ...working, reason: "active; its agent says nothing of its progress" };
  const stillMs = Date.parse(last_heartbeat_at) - Date.parse(last_activity_at);
  if (stalledAfterMs === 0 || stillMs < stalledAfterMs) return { ...working, reason: "active" };
  return { state: "stalled", reason: "its agent is there, but nothing moves", since: last_activity_at };
}

function request({ waiting_for }: Session): string {
  return waiting_for === undefined || waiting_for.question === ""
    ? `waits for ${waiting_for?.kind ?? "input"}`
    : waiting_for.question;
}

/** An answer would reach nobody now; the question is worth knowing all the same. */
function unheard(session: Session): string {
  if (session.status !== "WAITING") return "";
  return session.waiting_for?.question ? `; it asked: ${session.waiting_for.question}` : `; it ${request(session)}`;
}
