import type { BOUNDS } from "../bounds.ts";
import { foldEntry } from "../domain/fold.ts";
import { Family, type SessionRecord, type TaskRecord } from "../domain/records.ts";
import type { ChangeLog, Logger, Projections } from "../ports.ts";

interface Options {
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
  /** How often MongoDB's primary has changed. */
  readonly primaryChanges: () => number;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

/**
 * Writes the documents that a crash between append and projection left behind: reads the log after `projected_seq`,
 * folds it over the documents as they are, writes what is newer, raises the mark. Ends at the log's end as it was read:
 * what comes after is the work of the hubs that append it, and a pass that ran after them might never end. Safe beside
 * running hubs, since documents never go backwards. Returns the number of changes that were looked at; rejects when
 * MongoDB does not answer or its primary changes meanwhile.
 */
export async function repairProject(projectId: string, options: Options): Promise<number> {
  const { changeLog, projections, bounds, log } = options;
  let mark = await projections.readMark(projectId);
  let repaired = 0;
  for (;;) {
    const projected = mark?.projectedSeq ?? 0;
    const primary = options.primaryChanges();
    const entries = await changeLog.readAfter(projectId, projected, bounds.entriesPerRead);
    const first = entries[0];
    const last = entries.at(-1);
    if (first === undefined || last === undefined) return repaired;
    if (mark === undefined) await projections.createMark(projectId, first.epoch, first.at);
    const sessionIds = [...new Set(entries.flatMap((entry) => entry.changes.map((change) => change.session_id)))];
    const families = await projections.readFamilies(projectId, sessionIds);
    const sessions: SessionRecord[] = [];
    const tasks: TaskRecord[] = [];
    for (const sessionId of sessionIds) {
      const family = families.get(sessionId) ?? new Family();
      const before = { session: family.session, tasks: new Map(family.tasks) };
      for (const entry of entries) foldEntry(family, sessionId, entry);
      if (family.session !== undefined && family.session !== before.session) sessions.push(family.session);
      for (const [taskId, record] of family.tasks) if (record !== before.tasks.get(taskId)) tasks.push(record);
    }
    // Where several hubs write one project, most of it is another hub's work that is done: then nothing is written.
    if (sessions.length + tasks.length > 0) {
      await projections.write({ sessions, tasks });
      await projections.settle();
    }
    if (primary !== options.primaryChanges()) throw new Error("MongoDB's primary changed during the repair");
    const marks = await projections.raiseMarks([{ projectId, from: first.from_seq, to: last.to_seq }]);
    repaired += last.to_seq - projected;
    log.debug({ project_id: projectId, to_seq: last.to_seq }, "projection repaired");
    if (entries.length < bounds.entriesPerRead) return repaired;
    const now = marks.get(projectId);
    mark = { epoch: first.epoch, logStart: mark?.logStart ?? 1, projectedSeq: Math.max(now ?? 0, last.to_seq) };
  }
}

/** The repair pass over every project that has a log, or those of them that are wanted. */
export async function repairAll(
  options: Options,
  isWanted: (projectId: string) => boolean = () => true,
): Promise<{ projects: number; changes: number }> {
  let projects = 0;
  let changes = 0;
  for await (const projectId of options.changeLog.projectIds()) {
    if (!isWanted(projectId)) continue;
    const repaired = await repairProject(projectId, options);
    if (repaired > 0) projects += 1;
    changes += repaired;
  }
  return { projects, changes };
}
