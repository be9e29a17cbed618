import { foldEntry } from "../domain/fold.ts";
import type { Family } from "../domain/records.ts";
import type { ChangeLog, Projections } from "../ports.ts";
import type { Project } from "./project.ts";

/**
 * Sessions with their tasks as of the project's head or later: first the mark, then the documents, then the log after
 * the mark folded in. Rejects when MongoDB does not answer, and when what lies after the mark was trimmed meanwhile:
 * then the mark has moved on, and the same call succeeds.
 */
export async function readFamilies(
  project: Project,
  sessionIds: readonly string[],
  { changeLog, projections }: { readonly changeLog: ChangeLog; readonly projections: Projections },
): Promise<Map<string, Family>> {
  const mark = await projections.readMark(project.id);
  const projectedSeq = mark?.projectedSeq ?? 0;
  project.projectedTo(projectedSeq);
  const families = await projections.readFamilies(project.id, sessionIds);
  const entries = await changeLog.readAfterOfSessions(project.id, projectedSeq, sessionIds);
  if (project.head.seq > projectedSeq && entries[0]?.from_seq !== projectedSeq + 1) {
    throw new Error(`the log of project ${project.id} does not go on after ${projectedSeq}`);
  }
  for (const [sessionId, family] of families) for (const entry of entries) foldEntry(family, sessionId, entry);
  return families;
}
