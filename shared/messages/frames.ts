import type { Change } from "../entities.ts";

/** Hub → viewer: one commit. `from_seq` of each frame is the `to_seq` before it plus 1. */
export interface ChangesFrame {
  readonly project_id: string;
  readonly epoch: string;
  readonly from_seq: number;
  readonly to_seq: number;
  readonly changes: readonly Change[];
  /** One element per touched entity, with `state`, instead of every change. */
  readonly conflated?: true;
}

export interface HeartbeatInfo {
  readonly last_heartbeat_at: string;
  /** Since when the work stands still; absent while the agent has told nothing of its work. */
  readonly last_activity_at?: string;
  readonly progress?: number;
  readonly activity?: string;
  readonly metrics?: Readonly<Record<string, number>>;
}

/** Hub → viewer: the newest heartbeats, at most once a second; may be lost. */
export interface HeartbeatsFrame {
  readonly project_id: string;
  readonly at: string;
  readonly sessions: Readonly<Record<string, HeartbeatInfo>>;
}

/** Hub → viewer: every 5 s without a changes frame, so that even the loss of the last frame shows. */
export interface PositionFrame {
  readonly project_id: string;
  readonly epoch: string;
  readonly seq: number;
}

/** Hub → viewer: what you hold can no longer be continued; join again without `since`. */
export interface ProjectReset {
  readonly project_id: string;
  readonly reason: string;
}

/** Hub → viewer: how quickly changes made on other hubs arrive here. */
export interface ModeFrame {
  readonly mode: "live" | "degraded";
  readonly reason?: string;
}
