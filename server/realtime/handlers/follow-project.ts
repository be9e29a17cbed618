import type { ServerResponse } from "node:http";
import type { Refusal } from "../../../shared/errors.ts";
import type { Position } from "../../../shared/position.ts";
import type { Principal } from "../../domain/access.ts";
import { DRAINING } from "../../drain/refusal.ts";
import { type Prepared, prepareStream, type StreamBegin } from "../../following/join.ts";
import { within } from "../../patience.ts";
import { accepted, type Outcome, refused } from "../../writer/outcome.ts";
import type { EventStreams } from "../event-streams.ts";
import type { ViewerConnection } from "../viewer-connection.ts";
import { enterProject, type JoinProjectDeps } from "./join-project.ts";

type FollowProjectDeps = Pick<JoinProjectDeps, "following" | "rooms" | "isDraining"> & {
  readonly streams: EventStreams;
  /** Whether there is room for one more connection now. */
  readonly admit: () => Refusal | undefined;
};

interface FollowRequest {
  readonly projectId: string;
  readonly since: Position | undefined;
  readonly heartbeats: boolean;
  readonly principal: Principal;
}

/**
 * Prepares a stream of a project's events for somebody who may read it. What it returns begins the stream, in one turn.
 * Rejects when MongoDB does not answer.
 */
export async function followProject(
  deps: FollowProjectDeps,
  { projectId, since, heartbeats, principal }: FollowRequest,
): Promise<Outcome<(response: ServerResponse) => void>> {
  const refusal = deps.isDraining() ? DRAINING : deps.admit();
  if (refusal !== undefined) return refused(refusal);
  const { commitDeadlineMs } = deps.following.bounds;
  const prepared = await within(commitDeadlineMs, prepareStream(projectId, since, deps.following));
  // Whom the drain asks to move it has listed by now, perhaps.
  if (deps.isDraining()) return refused(DRAINING);
  return accepted((response) => {
    const viewer = deps.streams.open(response, principal, projectId);
    if (viewer === undefined) return;
    tellBegin(viewer, prepared);
    enterProject(deps, viewer, prepared, heartbeats);
  });
}

/** The first event has an id, so that even a stream that breaks right after it can be resumed. */
function tellBegin({ link }: ViewerConnection, { project, answer }: Prepared<StreamBegin>): void {
  const { epoch, seq } = answer;
  const project_id = project.id;
  if (answer.mode === "reset") link.reset({ project_id, reason: answer.reason }, { epoch, seq });
  else if (answer.mode === "live" || answer.changes.length === 0) link.send("position", { project_id, epoch, seq });
  else {
    const { from_seq, changes } = answer;
    link.send("changes", { project_id, epoch, from_seq, to_seq: seq, changes });
  }
}
