import type { Session } from "./entities.ts";

export type DisplayState =
  | "working"
  | "idle"
  | "needs you"
  | "paused"
  | "stale"
  | "lost"
  | "unmonitored"
  | "finished"
  | "failed"
  | "cancelled"
  | "unknown";

export interface Display {
  readonly state: DisplayState;
  /** One short sentence for a person. */
  readonly reason: string;
  readonly since: string;
}

/**
 * What a person should see for a session: one pure function for REST, SDK, CLI and pages. Nothing unknown ever reads
 * as running: a live status counts only while the hub vouches for the agent (`liveness` online).
 */
export function displayState(session: Session): Display {
  const { status, liveness } = session;
  const since = session.updated_at;
  if (status === "COMPLETED") return { state: "finished", reason: "completed", since: session.ended_at ?? since };
  if (status === "FAILED") return { state: "failed", reason: "ended as failed", since: session.ended_at ?? since };
  if (status === "CANCELLED") return { state: "cancelled", reason: "cancelled", since: session.ended_at ?? since };
  if (liveness === "lost") return { state: "lost", reason: "its agent is gone", since: session.lost_at ?? since };
  if (liveness === "stale") return { state: "stale", reason: "its agent missed its heartbeats", since };
  if (status === "WAITING") {
    const question = session.waiting_for?.question ?? "";
    return {
      state: "needs you",
      reason: question === "" ? `waits for ${session.waiting_for?.kind ?? "input"}` : question,
      since: session.waiting_for?.since ?? since,
    };
  }
  if (liveness === "unmonitored") return { state: "unmonitored", reason: "no agent has opened it", since };
  if (liveness !== "online") return { state: "unknown", reason: `liveness is ${liveness}`, since };
  switch (status) {
    case "ACTIVE":
      return { state: "working", reason: "active", since };
    case "IDLE":
      return { state: "idle", reason: "nothing to do", since };
    case "PAUSED":
      return { state: "paused", reason: "paused", since };
    default:
      return { state: "unknown", reason: `status is ${String(status satisfies never)}`, since };
  }
}
