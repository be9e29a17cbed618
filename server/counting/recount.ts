import type { BOUNDS } from "../bounds.ts";
import { addCounts, type Counts, countsMoved } from "../domain/standing.ts";
import type { ChangeLog, CountStore, ProjectCount, Projections } from "../ports.ts";

interface Options {
  readonly store: CountStore;
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
  readonly bounds: typeof BOUNDS;
}

/**
 * Counts a project's sessions one by one, at the end of its log. Documents move while they are read: the log after the mark
 * is counted on top, but for what a document already held when it was read. Undefined when the log does not say enough, or `goOn`, which is asked from time to time, says no.
 */
export async function recount(
  projectId: string,
  options: Options,
  goOn: () => Promise<boolean> = async () => true,
): Promise<ProjectCount | undefined> {
  const { store, changeLog, projections, bounds } = options;
  const mark = await projections.readMark(projectId);
  if (mark === undefined) return { epoch: "", seq: 0, counts: new Map() };
  const found = new Map<string, number>();
  const later = new Map<string, number>();
  let looked = 0;
  for await (const { sessionId, standing, seq } of store.standings(projectId)) {
    looked += 1;
    if (looked % bounds.recountSlice === 0 && !(await goOn())) return undefined;
    found.set(standing, (found.get(standing) ?? 0) + 1);
    if (seq > mark.projectedSeq) later.set(sessionId, seq);
  }
  let counts: Counts = found;
  let { epoch, projectedSeq: end } = mark;
  for (;;) {
    const entries = await changeLog.readAfter(projectId, end, bounds.entriesPerRead);
    for (const entry of entries) {
      const isNew = (change: { readonly session_id: string; readonly seq: number }) =>
        change.seq > (later.get(change.session_id) ?? mark.projectedSeq);
      const moved = entry.from_seq === end + 1 ? countsMoved(entry, isNew) : undefined;
      if (moved === undefined) return undefined;
      counts = addCounts(counts, moved);
      end = entry.to_seq;
      epoch = entry.epoch;
    }
    if (entries.length < bounds.entriesPerRead) return { epoch, seq: end, counts };
  }
}
