import { refuse, refuseFields } from "../../../shared/errors.ts";
import type { Limits } from "../../../shared/limits.ts";
import type { ProjectJoin } from "../../../shared/messages/project-join.ts";
import type { ProjectLeave } from "../../../shared/messages/project-leave.ts";
import type { ProjectSnapshot, SnapshotPage } from "../../../shared/messages/project-snapshot.ts";
import type { Position } from "../../../shared/position.ts";
import { DRAINING } from "../../drain/refusal.ts";
import { changesFrame } from "../../following/frames.ts";
import { missedSince, type Prepared, prepareJoin } from "../../following/join.ts";
import type { Snapshots } from "../../following/snapshots.ts";
import { within } from "../../patience.ts";
import type { Logger } from "../../ports.ts";
import { accepted, type Outcome, refused } from "../../writer/outcome.ts";
import type { Handled } from "../dispatch.ts";
import type { Rooms } from "../rooms.ts";
import type { ViewerConnection } from "../viewer-connection.ts";

export interface JoinProjectDeps {
  readonly following: Parameters<typeof prepareJoin>[2];
  readonly snapshots: Snapshots;
  readonly limits: Limits;
  readonly log: Logger;
  readonly rooms: Rooms;
  readonly isDraining: () => boolean;
}

/** `project:join`: a second join of the same project begins anew, as after a gap. */
export async function joinProject(
  deps: JoinProjectDeps,
  connection: ViewerConnection,
  message: ProjectJoin,
): Promise<Handled> {
  const { project_id: projectId } = message;
  const { limits } = deps;
  if (deps.isDraining()) return refused(DRAINING);
  const isNew = !connection.joined.has(projectId) && !connection.joining.has(projectId);
  if (isNew && connection.joined.size + connection.joining.size >= limits.rooms_per_connection) {
    const text = `a connection follows at most ${limits.rooms_per_connection} projects`;
    return refused(refuse("LIMIT_EXCEEDED", text, { limit: limits.rooms_per_connection }));
  }
  deps.rooms.leave(projectId, connection);
  const ticket = Symbol(projectId);
  connection.joining.set(projectId, ticket);
  try {
    const { commitDeadlineMs } = deps.following.bounds;
    const prepared = await within(commitDeadlineMs, prepareJoin(projectId, message.since, deps.following));
    if (connection.joining.get(projectId) !== ticket) {
      return refused(refuse("GONE", "a later join or leave of this project replaced this one"));
    }
    // Even now a leave that has waited may be handled before the ack, or the connection may end.
    const afterAck = () => {
      if (endJoin(connection, projectId, ticket)) enterProject(deps, connection, prepared, message.heartbeats);
    };
    return { ...accepted(prepared.answer), afterAck };
  } catch (error) {
    endJoin(connection, projectId, ticket);
    deps.log.warn({ err: error, project_id: projectId }, "join not answered");
    return refused({ code: "UNAVAILABLE", message: "the database does not answer", retry_after_ms: 1_000 });
  }
}

/** False when a later join or leave, or the end of the connection, has ended it before. */
function endJoin({ joining }: ViewerConnection, projectId: string, ticket: symbol): boolean {
  return joining.get(projectId) === ticket && joining.delete(projectId);
}

const TOO_MUCH_MEANWHILE = "too much was committed during the join";

/** The viewer was told `prepared.answer` in this turn: it is sent what was applied since, and then every frame. */
export function enterProject(
  deps: Pick<JoinProjectDeps, "rooms">,
  connection: ViewerConnection,
  prepared: Prepared<Position>,
  heartbeats: boolean,
): void {
  const { project } = prepared;
  const missed = missedSince(prepared);
  if (missed === undefined) {
    deps.rooms.reset(project, connection, heartbeats, TOO_MUCH_MEANWHILE);
    return;
  }
  for (const entry of missed) connection.link.send("changes", changesFrame(entry));
  deps.rooms.enter(project, connection, heartbeats);
}

/** `project:leave`. */
export function leaveProject(rooms: Rooms, connection: ViewerConnection, message: ProjectLeave): Outcome<object> {
  connection.joining.delete(message.project_id);
  rooms.leave(message.project_id, connection);
  return accepted({});
}

/** The connection is gone. */
export function leaveAll(rooms: Rooms, connection: ViewerConnection): void {
  connection.isClosed = true;
  connection.joining.clear();
  for (const projectId of [...connection.joined.keys()]) rooms.leave(projectId, connection);
}

/** `project:snapshot`: a further page. */
export async function pageSnapshot(snapshots: Snapshots, message: ProjectSnapshot): Promise<Outcome<SnapshotPage>> {
  await snapshots.turn();
  const page = snapshots.next(message.project_id, message.cursor);
  if (page === "gone") return refused(refuse("GONE", "the snapshot is no longer kept; join again"));
  if (page === "malformed") return refused(refuseFields([{ field: "cursor", message: "is not one of this project" }]));
  return accepted(page);
}
