import type { Entry } from "../domain/records.ts";
import { removalsOfLeftTasks } from "../domain/removals.ts";
import type { Base, ChangeLog, Projections } from "../ports.ts";
import { nextTurn } from "../timing.ts";
import { foldTouched, touchedSessions } from "../writer/fold-touched.ts";
import { countTrimmable, type TrimTerms } from "./trim-rule.ts";

export interface TrimPorts {
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
  readonly base: Base;
  /** Of BOUNDS. */
  readonly bounds: { readonly trimChanges: number };
}

/** Whether more of the project may go, and how many changes went. */
export interface TrimStep {
  readonly trimmed: number;
  readonly isDone: boolean;
}

const NOTHING: TrimStep = { trimmed: 0, isDone: true };

/**
 * Trims some of the oldest entries of a project: folds them into the base, raises `log_start` over them, removes them, in
 * this order, each durable before the next. So what a crash leaves behind is a base that is ahead of `log_start`, which
 * the next fold skips over, or entries before `log_start`, which nobody reads and the next step removes.
 *
 * Two hubs may do it at once: the base never goes back, `log_start` is only raised, and each raises it only as far as it
 * has folded itself without a hole, onto a base that was read after its `log_start`.
 */
export async function trimStep(
  projectId: string,
  terms: Omit<TrimTerms, "headSeq" | "projectedSeq">,
  { changeLog, projections, base, bounds }: TrimPorts,
): Promise<TrimStep> {
  const mark = await projections.readMark(projectId);
  const [oldest] = await changeLog.readAfter(projectId, 0, 1);
  if (mark === undefined || oldest === undefined) return NOTHING;
  if (oldest.from_seq < mark.logStart) await changeLog.deleteBefore(projectId, mark.logStart);
  else if (oldest.at >= terms.youngest) return NOTHING;
  const head = await changeLog.readHead(projectId);
  const all = { ...terms, headSeq: head?.seq ?? 0, projectedSeq: mark.projectedSeq };
  // Most projects, most of the time: nothing else is read of them.
  if (oldest.from_seq >= mark.logStart && countTrimmable([oldest], all) === 0) return NOTHING;
  const entries = await readOldest(projectId, mark.logStart - 1, bounds.trimChanges, changeLog);
  const count = countTrimmable(entries, all);
  const going = entries.slice(0, count);
  const last = going.at(-1);
  // Another hub is at it, or the log has a hole that nothing may be folded over.
  const isWhole = going.every(
    ({ from_seq }, index) => from_seq === (going[index - 1]?.to_seq ?? mark.logStart - 1) + 1,
  );
  if (last === undefined || !isWhole) return NOTHING;
  const touched = touchedSessions(going);
  await base.write(foldTouched(await base.readFamilies(projectId, touched), going));
  // A session may have been removed between: then its tombstone is there, but of tasks that came now nobody knew.
  const removals = removalsOfLeftTasks(projectId, await base.readFamilies(projectId, touched));
  if (removals.length > 0) await base.write({ sessions: [], tasks: [], removals });
  await projections.raiseLogStart(projectId, last.to_seq + 1);
  await changeLog.deleteBefore(projectId, last.to_seq + 1);
  return { trimmed: last.to_seq - mark.logStart + 1, isDone: count < entries.length };
}

/** Entries that begin in so many changes after `seq`. */
async function readOldest(projectId: string, seq: number, changes: number, changeLog: ChangeLog): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const slice of changeLog.readRange(projectId, seq, seq + changes)) {
    entries.push(...slice);
    await nextTurn();
  }
  return entries;
}
