import type { Display } from "../shared/display.ts";
import type { Session } from "../shared/entities.ts";
import type { HeartbeatInfo } from "../shared/messages/frames.ts";
import { ago, printable, table } from "./output.ts";

/** As REST shows it: the logged fields and the newest heartbeat. */
export interface ShownSession extends Session {
  readonly last_heartbeat_at?: string;
  readonly last_activity_at?: string;
  readonly heartbeat?: Omit<HeartbeatInfo, "last_heartbeat_at" | "last_activity_at">;
  readonly display: Display;
}

/** What a person wants to know of a session, one thing a line. */
export function sessionText(session: ShownSession): string {
  const { display, heartbeat, waiting_for: waiting } = session;
  const rows: (readonly [string, string | undefined])[] = [
    ["session", `${session.session_id}  (project ${session.project_id})`],
    ["state", `${display.state}: ${display.reason}, since ${ago(display.since)}`],
    ["status", `${session.status}, ${session.liveness}`],
    ["waits for", waiting === undefined ? undefined : `${waiting.kind}: ${waiting.question}`],
    ["options", waiting?.options?.join(" | ")],
    ["doing", heartbeat?.activity],
    ["progress", heartbeat?.progress === undefined ? undefined : percent(heartbeat.progress)],
    ["agent", session.agent_id],
    ["machine", session.machine_id],
    ["environment", session.environment],
    ["parent", session.parent_session_id],
    ["resumes", session.resumed_from],
    ["created", `${session.created_at}  (${ago(session.created_at)} ago)`],
    ["ended", session.ended_at],
    ["last move", session.last_activity_at === undefined ? undefined : `${ago(session.last_activity_at)} ago`],
    ["last beat", session.last_heartbeat_at === undefined ? undefined : `${ago(session.last_heartbeat_at)} ago`],
    ["metadata", Object.keys(session.metadata).length === 0 ? undefined : JSON.stringify(session.metadata)],
    ["version", String(session.version)],
  ];
  return table(rows.flatMap(([name, value]) => (value === undefined ? [] : [[name, printable(value)]])));
}

/** One line a session, those who need somebody told by their state. */
export function sessionTable(sessions: readonly ShownSession[]): string {
  const rows = sessions.map((session) => {
    const { display } = session;
    const title = typeof session.metadata.title === "string" ? session.metadata.title : "";
    const doing = session.heartbeat?.activity ?? "";
    const note =
      display.state === "needs you" ? display.reason : [title, doing].filter((part) => part !== "").join(": ");
    return [
      session.session_id,
      session.project_id,
      display.state,
      ago(display.since),
      session.machine_id,
      printable(note),
    ];
  });
  return table([["SESSION", "PROJECT", "STATE", "SINCE", "MACHINE", "WHAT"], ...rows]);
}

export function percent(progress: number): string {
  return `${Math.round(progress * 100)} %`;
}
