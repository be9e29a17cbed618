import type { BOUNDS } from "../bounds.ts";
import { foldChange } from "../domain/fold.ts";
import { Family } from "../domain/records.ts";
import { type Snapshot, windowOf } from "../following/snapshot.ts";
import type { Base, ChangeLog } from "../ports.ts";
import { nextTurn } from "../timing.ts";
import type { Checkpoints } from "./checkpoints.ts";
import type { Place } from "./moment.ts";

interface Options {
  readonly changeLog: ChangeLog;
  readonly base: Base;
  readonly checkpoints: Checkpoints;
  readonly isOver: () => boolean;
  readonly bounds: Pick<typeof BOUNDS, "snapshotEndedWindowMs">;
}

/** A state that is on its way to the place. */
interface Folding {
  seq: number;
  readonly families: Map<string, Family>;
}

/**
 * Why there is no state: the base has moved beyond the place; it moved while this was read, so begin again; the time is
 * over.
 */
type Failure = "trimmed" | "moved" | "late";

/**
 * A project as of a place in its log: the base, or a state before it that is still known, and the log after it folded
 * over it, in slices between which others have their turn.
 */
export async function buildSnapshotAt(projectId: string, place: Place, options: Options): Promise<Snapshot | Failure> {
  const project = `${projectId}/${place.epoch}/${place.forgotten}`;
  const known = options.checkpoints.nearest(project, place.seq);
  const start =
    known !== undefined && known.seq >= place.logStart - 1 ? known : await readBase(projectId, place, options);
  if (typeof start === "string") return start;
  const failure = await foldLog(projectId, project, start, place, options);
  if (failure !== undefined) return failure;
  const shownSince = endedSince(place.time, options);
  return { epoch: place.epoch, seq: place.seq, ...windowOf(start.families, shownSince) };
}

async function readBase(projectId: string, place: Place, { base, isOver }: Options): Promise<Folding | Failure> {
  const families = new Map<string, Family>();
  if (place.logStart === 1) return { seq: 0, families };
  for await (const { sessions, tasks } of base.readAll(projectId)) {
    for (const record of sessions) familyOf(families, record.entity.session_id).session = record;
    for (const record of tasks) {
      familyOf(families, record.entity.session_id).tasks.set(record.entity.task_id, record);
    }
    if ([...sessions, ...tasks].some(({ appliedSeq }) => appliedSeq > place.seq)) return "trimmed";
    if (isOver()) return "late";
    await nextTurn();
  }
  return { seq: place.logStart - 1, families };
}

/** Up to the place, which may lie inside an entry. */
async function foldLog(
  projectId: string,
  project: string,
  folding: Folding,
  place: Place,
  options: Options,
): Promise<Failure | undefined> {
  const { changeLog, checkpoints, isOver } = options;
  let kept = folding.seq;
  for await (const entries of changeLog.readRange(projectId, folding.seq, place.seq)) {
    for (const entry of entries) {
      if (entry.from_seq !== folding.seq + 1) return "moved";
      for (const change of entry.changes) {
        if (change.seq <= place.seq) foldChange(familyOf(folding.families, change.session_id), change, entry.at);
      }
      folding.seq = entry.to_seq;
      if (entry.to_seq > place.seq || !checkpoints.isDue(kept, entry.to_seq, folding.families.size)) continue;
      leaveOutEnded(folding.families, endedSince(entry.at, options));
      checkpoints.keep(project, entry.to_seq, folding.families);
      kept = entry.to_seq;
    }
    if (isOver()) return "late";
    await nextTurn();
  }
  return folding.seq < place.seq ? "moved" : undefined;
}

/** Sessions that no snapshot from here on shows: a long past is mostly these. Nothing changes them any more. */
function leaveOutEnded(families: Map<string, Family>, since: string): void {
  for (const [sessionId, { session }] of families) {
    const endedAt = session?.entity.ended_at;
    if (endedAt !== undefined && endedAt < since) families.delete(sessionId);
  }
}

function endedSince(time: string, { bounds }: Options): string {
  return new Date(Date.parse(time) - bounds.snapshotEndedWindowMs).toISOString();
}

function familyOf(families: Map<string, Family>, sessionId: string): Family {
  const family = families.get(sessionId) ?? new Family();
  families.set(sessionId, family);
  return family;
}
