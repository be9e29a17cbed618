import { displayState } from "../../shared/display.ts";
import type { Session } from "../../shared/entities.ts";
import { sessionKey } from "../../shared/ids.ts";
import type { HeartbeatInfo } from "../../shared/messages/frames.ts";
import type { SessionView } from "../../shared/rest/sessions.ts";
import type { Heartbeats } from "../liveness/heartbeats.ts";
import type { Queries } from "./ports.ts";

interface Sources {
  readonly queries: Queries;
  readonly heartbeats: Pick<Heartbeats, "lastOf">;
  readonly stalledAfterMs: number;
}

/** Heartbeats known on this hub are fresher than those in the database. */
export async function viewSessions(sources: Sources, sessions: readonly Session[]): Promise<SessionView[]> {
  const keyOf = (session: Session) => sessionKey(session.project_id, session.session_id);
  const known = new Map<string, HeartbeatInfo>();
  for (const session of sessions) {
    const last = sources.heartbeats.lastOf(session.project_id, session.session_id);
    if (last !== undefined) known.set(keyOf(session), last);
  }
  // Before an agent has opened it there is no heartbeat to look for.
  const wanted = sessions.filter((session) => session.incarnation > 0 && !known.has(keyOf(session))).map(keyOf);
  const stored = wanted.length === 0 ? undefined : await sources.queries.readHeartbeats(wanted);
  return sessions.map((session) => view(sources, session, known.get(keyOf(session)) ?? stored?.get(keyOf(session))));
}

/** After a commit: the answer must not fail any more because a heartbeat could not be read. */
export async function viewWritten(sources: Sources, session: Session): Promise<SessionView> {
  try {
    const [written] = await viewSessions(sources, [session]);
    return written ?? view(sources, session, undefined);
  } catch {
    return view(sources, session, undefined);
  }
}

function view({ stalledAfterMs }: Sources, session: Session, last: HeartbeatInfo | undefined): SessionView {
  const display = displayState(session, last, stalledAfterMs);
  if (last === undefined) return { ...session, display };
  const { last_heartbeat_at, last_activity_at, ...heartbeat } = last;
  const activity = last_activity_at === undefined ? {} : { last_activity_at };
  return { ...session, last_heartbeat_at, ...activity, heartbeat, display };
}
