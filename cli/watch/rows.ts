import type { Display, DisplayState } from "../../shared/display.ts";
import type { Session, Task, WaitingFor } from "../../shared/entities.ts";
import type { HeartbeatInfo } from "../../shared/messages/frames.ts";

/** One session as the table, and JSON for scripts, show it. */
export interface WatchRow {
  readonly project_id: string;
  readonly session_id: string;
  readonly state: DisplayState;
  readonly reason: string;
  readonly since: string;
  /** Somebody has to answer it, or to look after its agent. */
  readonly needs_me: boolean;
  /** False: so it was when the connection was lost; nobody here knows what it is now. */
  readonly live: boolean;
  readonly status: Session["status"];
  readonly liveness: Session["liveness"];
  readonly machine_id: string;
  readonly agent_id?: string;
  readonly title?: string;
  readonly activity?: string;
  readonly progress?: number;
  readonly waiting_for?: WaitingFor;
  readonly created_at: string;
}

/**
 * In the order of the table: what needs a person first. `stale` is not for a person yet: its agent comes back, or the
 * session is lost soon.
 */
const ORDER: Readonly<Record<DisplayState, number>> = {
  "needs you": 0,
  lost: 1,
  stalled: 2,
  unknown: 3,
  stale: 4,
  working: 5,
  idle: 6,
  paused: 7,
  unmonitored: 8,
  failed: 9,
  cancelled: 9,
  finished: 9,
};
const LAST_THAT_NEEDS_ME = ORDER.unknown;
const LAST_TROUBLE = ORDER.stale;

export function hasEnded(state: DisplayState): boolean {
  return ORDER[state] === ORDER.finished;
}

export interface RowSource {
  readonly session: Session;
  readonly display: Display;
  readonly heartbeat: HeartbeatInfo | undefined;
  /** Of this session. */
  readonly tasks: readonly Task[];
  readonly isLive: boolean;
}

export function rowOf({ session, display, heartbeat, tasks, isLive }: RowSource): WatchRow {
  const { title } = session.metadata;
  const { activity, progress } = doing(heartbeat, tasks);
  return {
    project_id: session.project_id,
    session_id: session.session_id,
    ...display,
    needs_me: ORDER[display.state] <= LAST_THAT_NEEDS_ME,
    live: isLive,
    status: session.status,
    liveness: session.liveness,
    machine_id: session.machine_id,
    ...(session.agent_id === undefined ? {} : { agent_id: session.agent_id }),
    ...(typeof title === "string" && title !== "" ? { title } : {}),
    ...(activity === undefined || activity === "" ? {} : { activity }),
    ...(progress === undefined ? {} : { progress }),
    ...(session.waiting_for === undefined ? {} : { waiting_for: session.waiting_for }),
    created_at: session.created_at,
  };
}

/** What the heartbeats say; where they say nothing, the task in progress that changed last. */
function doing(
  heartbeat: HeartbeatInfo | undefined,
  tasks: readonly Task[],
): Pick<HeartbeatInfo, "activity" | "progress"> {
  if (heartbeat?.activity !== undefined || heartbeat?.progress !== undefined) return heartbeat;
  const [task] = tasks.filter(({ status }) => status === "IN_PROGRESS").sort((a, b) => b.seq - a.seq);
  if (task === undefined) return {};
  return { activity: task.title, ...(task.progress === undefined ? {} : { progress: task.progress }) };
}

/**
 * The longest wait first where somebody has to do something, else the newest session, or the latest end. Nothing that
 * changes with every heartbeat counts, so that rows stay where they are.
 */
export function inOrder(rows: readonly WatchRow[]): WatchRow[] {
  return rows.toSorted(
    (a, b) =>
      rankOf(a) - rankOf(b) ||
      compare(...sameRank(a, b)) ||
      compare(a.project_id, b.project_id) ||
      compare(a.session_id, b.session_id),
  );
}

function sameRank(a: WatchRow, b: WatchRow): [string, string] {
  if (rankOf(a) <= LAST_TROUBLE) return [a.since, b.since];
  return hasEnded(a.state) ? [b.since, a.since] : [b.created_at, a.created_at];
}

function rankOf({ state }: WatchRow): number {
  return ORDER[state];
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
