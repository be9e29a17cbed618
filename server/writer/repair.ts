import type { BOUNDS } from "../bounds.ts";
import type { Entry } from "../domain/records.ts";
import type { Base, ChangeLog, Logger, Projections } from "../ports.ts";
import { foldTouched, touchedSessions } from "./fold-touched.ts";

interface Options {
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
  readonly base: Pick<Base, "readAll">;
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
    if (mark === undefined) await createMark(projectId, first, projections);
    // The documents are older than the log: they were lost, or begin anew. What is before stands in the base.
    const isBehindLog = Math.max(first.from_seq, mark?.logStart ?? 1) > projected + 1;
    if (isBehindLog) await copyBase(projectId, options);
    const families = await projections.readFamilies(projectId, touchedSessions(entries));
    const batch = foldTouched(families, entries);
    // Where several hubs write one project, most of it is another hub's work that is done: then nothing is written.
    if (batch.sessions.length + batch.tasks.length + batch.removals.length > 0) {
      await projections.write(batch);
      await projections.settle();
    }
    if (primary !== options.primaryChanges()) throw new Error("MongoDB's primary changed during the repair");
    const marks = await projections.raiseMarks([
      { projectId, from: projected + 1, to: last.to_seq, epoch: last.epoch },
    ]);
    // Readers find no way from the former mark to the log: they are to see this one at once.
    if (isBehindLog) await projections.settle();
    repaired += last.to_seq - projected;
    log.debug({ project_id: projectId, to_seq: last.to_seq }, "projection repaired");
    if (entries.length < bounds.entriesPerRead) return repaired;
    const now = marks.get(projectId);
    const projectedSeq = Math.max(now ?? 0, last.to_seq);
    mark = { logStart: 1, forgottenSeq: 0, ...mark, epoch: last.epoch, projectedSeq };
  }
}

/** Of a project whose document is not there; without it, where the log begins is only in the log. */
function createMark(projectId: string, first: Entry, projections: Projections): Promise<void> {
  return projections.createMark(projectId, { epoch: first.epoch, logStart: first.from_seq }, first.at);
}

async function copyBase(projectId: string, { base, projections, log }: Options): Promise<void> {
  log.info({ project_id: projectId }, "documents are made anew from the base of the log");
  for await (const batch of base.readAll(projectId)) await projections.write(batch);
  await projections.settle();
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
