import type { Limits } from "../../shared/limits.ts";
import type { JoinedWithReplay, ProjectJoined, SnapshotReason } from "../../shared/messages/project-join.ts";
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

/** An answer to who wants to follow a project that is ready; what was applied since, `missedSince` tells. */
export interface Prepared<Answer extends Position> {
  readonly project: Project;
  readonly answer: Answer;
}

/** How a stream of events begins: nothing is told before what comes, or what was missed, or that this cannot be. */
export type StreamBegin =
  | (Position & { readonly mode: "live" })
  | JoinedWithReplay
  | (Position & { readonly mode: "reset"; readonly reason: SnapshotReason });

/**
 * Answers a join: replay when the position can be continued within the limits, else a snapshot and why. The caller
 * must ack, send what `missedSince` tells and enter the room in one synchronous step: then no frame can be missed.
 * Rejects when MongoDB does not answer.
 */
export function prepareJoin(
  projectId: string,
  since: Position | undefined,
  options: Options,
): Promise<Prepared<ProjectJoined>> {
  return prepare(projectId, since, options, (project) => answerJoin(project, since, options));
}

/** The same for a stream, whose client fetches snapshots itself: it begins at the head, or with what was missed. */
export function prepareStream(
  projectId: string,
  since: Position | undefined,
  options: Options,
): Promise<Prepared<StreamBegin>> {
  return prepare(projectId, since, options, async (project) => {
    const { epoch, seq } = project.head;
    const isEmpty = seq === 0 && since?.seq === 0 && since.epoch === epoch;
    if (since === undefined || isEmpty) return { mode: "live", epoch, seq };
    const replay = await replaySince(project, since, options);
    return typeof replay === "string" ? { mode: "reset", reason: replay, epoch, seq } : replay;
  });
}

async function prepare<Answer extends Position>(
  projectId: string,
  since: Position | undefined,
  options: Options,
  answerFor: (project: Project) => Promise<Answer>,
): Promise<Prepared<Answer>> {
  const { projects, bounds } = options;
  for (let attempt = 1; attempt <= bounds.joinAttempts; attempt++) {
    const project = await projects.get(projectId);
    // A head that nobody follows is not kept up; one that is behind the viewer certainly is not up to date.
    if (project.followers === 0 || (since !== undefined && since.seq > project.head.seq)) {
      await projects.catchUp(project);
    }
    const answer = await answerFor(project);
    if (answer.seq > project.head.seq) await projects.catchUp(project);
    if (projects.known(projectId) !== project || answer.epoch !== project.head.epoch) continue;
    const prepared = { project, answer };
    if (missedSince(prepared) !== undefined) return prepared;
    // So much was committed meanwhile that it is no longer at hand: begin anew.
  }
  throw new Error(`project ${projectId} changes faster than a join can be answered`);
}

/** Entries applied here since the answer was made, or undefined when they are no longer at hand. */
export function missedSince({ project, answer }: Prepared<Position>): readonly Entry[] | undefined {
  return project.recent.after(answer.seq, project.head.seq);
}

async function answerJoin(project: Project, since: Position | undefined, options: Options): Promise<ProjectJoined> {
  const replay = since === undefined ? "first" : await replaySince(project, since, options);
  return typeof replay === "string" ? snapshot(project, replay, options) : replay;
}

/** What was missed since a position, or why it cannot be told. */
async function replaySince(
  project: Project,
  since: Position,
  options: Options,
): Promise<JoinedWithReplay | SnapshotReason> {
  const { head } = project;
  if (head.seq === 0 || since.epoch !== head.epoch || since.seq > head.seq) return "epoch";
  if (head.seq - since.seq > options.limits.replay_changes) return "too_far";
  const entries = await options.replays.after(project, since.seq);
  if (entries === undefined) return "expired";
  const changes = wireChanges(entries, since.seq);
  if (Buffer.byteLength(JSON.stringify(changes)) > options.limits.replay_bytes) return "too_far";
  const seq = entries.at(-1)?.to_seq ?? since.seq;
  return { mode: "replay", epoch: head.epoch, from_seq: since.seq + 1, seq, changes };
}

async function snapshot(project: Project, reason: SnapshotReason, { snapshots }: Options): Promise<ProjectJoined> {
  return { mode: "snapshot", reason, ...(await snapshots.forJoin(project)) };
}
