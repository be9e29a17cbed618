import type { Limits } from "../../shared/limits.ts";
import type { ProjectJoined, SnapshotReason } from "../../shared/messages/project-join.ts";
import type { Position } from "../../shared/position.ts";
import type { BOUNDS } from "../bounds.ts";
import type { Entry } from "../domain/records.ts";
import type { Project } from "../writer/project.ts";
import type { Projects } from "../writer/projects.ts";
import { wireChanges } from "./frames.ts";
import type { Replays } from "./replays.ts";
import type { Snapshots } from "./snapshots.ts";

interface Options {
  readonly projects: Projects;
  readonly snapshots: Snapshots;
  readonly replays: Replays;
  readonly limits: Limits;
  readonly bounds: typeof BOUNDS;
}

/** An answer to a join that is ready; what was applied since, `missedSince` tells. */
export interface PreparedJoin {
  readonly project: Project;
  readonly answer: ProjectJoined;
}

/**
 * Answers a join: replay when the position can be continued within the limits, else a snapshot and why. The caller
 * must ack, send what `missedSince` tells and enter the room in one synchronous step: then no frame can be missed.
 * Rejects when MongoDB does not answer.
 */
export async function prepareJoin(
  projectId: string,
  since: Position | undefined,
  options: Options,
): Promise<PreparedJoin> {
  const { projects, bounds } = options;
  for (let attempt = 1; attempt <= bounds.joinAttempts; attempt++) {
    const project = await projects.get(projectId);
    // A head that nobody follows is not kept up; one that is behind the viewer certainly is not up to date.
    if (project.followers === 0 || (since !== undefined && since.seq > project.head.seq)) {
      await projects.catchUp(project);
    }
    const answer = await answerJoin(project, since, options);
    if (answer.seq > project.head.seq) await projects.catchUp(project);
    if (projects.known(projectId) !== project || answer.epoch !== project.head.epoch) continue;
    const prepared = { project, answer };
    if (missedSince(prepared) !== undefined) return prepared;
    // So much was committed meanwhile that it is no longer at hand: begin anew.
  }
  throw new Error(`project ${projectId} changes faster than a join can be answered`);
}

/** Entries applied here since the answer was made, or undefined when they are no longer at hand. */
export function missedSince({ project, answer }: PreparedJoin): readonly Entry[] | undefined {
  return project.recent.after(answer.seq, project.head.seq);
}

async function answerJoin(project: Project, since: Position | undefined, options: Options): Promise<ProjectJoined> {
  if (since === undefined) return snapshot(project, "first", options);
  const { head } = project;
  if (head.seq === 0 || since.epoch !== head.epoch || since.seq > head.seq) return snapshot(project, "epoch", options);
  if (head.seq - since.seq > options.limits.replay_changes) return snapshot(project, "too_far", options);
  const entries = await options.replays.after(project, since.seq);
  if (entries === undefined) return snapshot(project, "expired", options);
  const changes = wireChanges(entries, since.seq);
  if (Buffer.byteLength(JSON.stringify(changes)) > options.limits.replay_bytes) {
    return snapshot(project, "too_far", options);
  }
  const seq = entries.at(-1)?.to_seq ?? since.seq;
  return { mode: "replay", epoch: head.epoch, from_seq: since.seq + 1, seq, changes };
}

async function snapshot(project: Project, reason: SnapshotReason, { snapshots }: Options): Promise<ProjectJoined> {
  return { mode: "snapshot", reason, ...(await snapshots.forJoin(project)) };
}
