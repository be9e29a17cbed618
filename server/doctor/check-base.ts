import type { Base, Projections } from "../ports.ts";
import { fine, listed, plural, untold, type Verdict, wrong } from "./verdict.ts";

interface Options {
  readonly base: Pick<Base, "readAll">;
  readonly projections: Pick<Projections, "readMark">;
  readonly bounds: { readonly doctorBaseDocuments: number };
}

const WHAT_TO_DO = "base and documents are not of one backup; restore both together: docs/DOCTOR.md, base";

/** Nothing is folded into the base that documents do not hold: a trim never goes beyond `projected_seq`. */
export async function checkBase(projectId: string, options: Options, isOver: () => boolean): Promise<Verdict> {
  const { base, projections, bounds } = options;
  const found: { readonly name: string; readonly appliedSeq: number }[] = [];
  for await (const { sessions, tasks } of base.readAll(projectId)) {
    for (const { entity, appliedSeq } of sessions) found.push({ name: `session ${entity.session_id}`, appliedSeq });
    for (const { entity, appliedSeq } of tasks) {
      found.push({ name: `task ${entity.task_id} of ${entity.session_id}`, appliedSeq });
    }
    if (found.length >= bounds.doctorBaseDocuments || isOver()) break;
  }
  if (found.length === 0) return isOver() ? untold("the time of this check is over") : fine("nothing was trimmed yet");
  // After the base, so that it is not older.
  const projected = (await projections.readMark(projectId))?.projectedSeq ?? 0;
  const ahead = found.filter(({ appliedSeq }) => appliedSeq > projected);
  const findings = ahead.map(({ name, appliedSeq }) => `${name} is at change ${appliedSeq}, documents at ${projected}`);
  if (findings.length > 0) return wrong(listed(findings), WHAT_TO_DO);
  return fine(`${plural(found.length, "document")} of the base, none ahead of change ${projected}`);
}
