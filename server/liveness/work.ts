import type { HeartbeatInfo } from "../../shared/messages/frames.ts";
import type { Beat } from "../../shared/messages/heartbeat.ts";
import type { StoredBeat } from "../ports.ts";

/** What an agent has told of its work, and when that last moved. Times are milliseconds since 1970. */
export interface Work {
  readonly progress: number | undefined;
  readonly activity: string | undefined;
  /** Undefined: it has told nothing of its work yet. */
  readonly movedAt: number | undefined;
  /** This hub saw it move; otherwise it only heard where the work stands, and it may have stood there for long. */
  readonly wasSeenMoving: boolean;
}

export const NOTHING_TOLD: Work = {
  progress: undefined,
  activity: undefined,
  movedAt: undefined,
  wasSeenMoving: false,
};

/** Other words or another progress are a move; metrics are none, they never stand still. */
export function afterBeat(work: Work, { progress, activity }: Beat, now: number): Work {
  if (progress === work.progress && activity === work.activity) return work;
  return { progress, activity, movedAt: now, wasSeenMoving: work.movedAt !== undefined };
}

/** What its agent changed is a move. What an operator changed too, but it makes no agent talkative. */
export function afterChange(work: Work, actor: "agent" | "operator", at: number): Work {
  if (actor === "operator" && work.movedAt === undefined) return work;
  return { ...work, movedAt: Math.max(at, work.movedAt ?? at), wasSeenMoving: true };
}

/** The same process was open on another hub before, or on this one before its restart: its work may stand still since then. */
export function afterRecall(work: Work, { info }: StoredBeat): Work {
  if (work.wasSeenMoving || info.last_activity_at === undefined) return work;
  const { progress, activity } = work.movedAt === undefined ? info : work;
  if (progress !== info.progress || activity !== info.activity) return work;
  return { progress, activity, movedAt: Date.parse(info.last_activity_at), wasSeenMoving: false };
}

/** Whether it had not moved for so long when it was last heard of. 0: nothing is ever called still. */
export function isStill({ movedAt }: Work, heardAt: number, stalledAfterMs: number): boolean {
  return stalledAfterMs > 0 && movedAt !== undefined && heardAt - movedAt >= stalledAfterMs;
}

export function lastActivityAt({ movedAt }: Work): Pick<HeartbeatInfo, "last_activity_at"> {
  return movedAt === undefined ? {} : { last_activity_at: new Date(movedAt).toISOString() };
}
