import type { BOUNDS } from "../bounds.ts";
import { foldChange } from "../domain/fold.ts";
import { Family } from "../domain/records.ts";
import { type Snapshot, windowOf } from "../following/snapshot.ts";
import type { Base, ChangeLog } from "../ports.ts";
import { nextTurn } from "../timing.ts";
import type { Place } from "./moment.ts";

interface Options {
  readonly changeLog: ChangeLog;
  readonly base: Base;
  readonly isOver: () => boolean;
  readonly bounds: Pick<typeof BOUNDS, "snapshotEndedWindowMs">;
}

/**
 * A project as of a place in its log: the base, and the log after it up to there folded over it, in slices between which
 * others have their turn. `trimmed`: the base has moved beyond the place; `moved`: it moved while this was read, so begin
 * again; `late`: the time is over.
 */
export async function buildSnapshotAt(
  projectId: string,
  place: Place,
  { changeLog, base, isOver, bounds }: Options,
): Promise<Snapshot | "trimmed" | "moved" | "late"> {
  const families = new Map<string, Family>();
  const familyOf = (sessionId: string): Family => {
    const family = families.get(sessionId) ?? new Family();
    families.set(sessionId, family);
    return family;
  };
  if (place.logStart > 1) {
    for await (const { sessions, tasks } of base.readAll(projectId)) {
      for (const record of sessions) familyOf(record.entity.session_id).session = record;
      for (const record of tasks) familyOf(record.entity.session_id).tasks.set(record.entity.task_id, record);
      if ([...sessions, ...tasks].some(({ appliedSeq }) => appliedSeq > place.seq)) return "trimmed";
      if (isOver()) return "late";
      await nextTurn();
    }
  }
  let next = place.logStart;
  for await (const entries of changeLog.readRange(projectId, next - 1, place.seq)) {
    for (const entry of entries) {
      if (entry.from_seq !== next) return "moved";
      next = entry.to_seq + 1;
      for (const change of entry.changes) {
        if (change.seq <= place.seq) foldChange(familyOf(change.session_id), change, entry.at);
      }
    }
    if (isOver()) return "late";
    await nextTurn();
  }
  if (next <= place.seq) return "moved";
  const endedSince = new Date(Date.parse(place.time) - bounds.snapshotEndedWindowMs).toISOString();
  return { epoch: place.epoch, seq: place.seq, ...windowOf(families, endedSince) };
}
