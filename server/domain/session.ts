import type { SessionStatus } from "../../shared/entities.ts";

const LIVE = ["ACTIVE", "IDLE", "WAITING", "PAUSED"] as const;
const FINAL = ["COMPLETED", "FAILED", "CANCELLED"] as const;

function others(from: SessionStatus): readonly SessionStatus[] {
  return [...LIVE, ...FINAL].filter((status) => status !== from);
}

/** Complete: the live statuses change into one another and into a final one; a final one never changes. */
export const SESSION_TRANSITIONS: Readonly<Record<SessionStatus, readonly SessionStatus[]>> = {
  ACTIVE: others("ACTIVE"),
  IDLE: others("IDLE"),
  WAITING: others("WAITING"),
  PAUSED: others("PAUSED"),
  COMPLETED: [],
  FAILED: [],
  CANCELLED: [],
};
