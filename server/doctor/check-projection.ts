import type { ChangeLog, Clock, Projections } from "../ports.ts";
import { fine, type Verdict, wrong } from "./verdict.ts";

interface Options {
  readonly changeLog: Pick<ChangeLog, "readHead" | "readAfter">;
  readonly projections: Pick<Projections, "readMark">;
  readonly clock: Pick<Clock, "now">;
  readonly bounds: { readonly doctorBehindMs: number };
}

const LEFT_BEHIND =
  "hubs write what is missing by themselves within seconds; if this stays, restart one and read its log: docs/DOCTOR.md, projection";
const FOREIGN = "log and documents are not of one backup; restore both together: docs/DOCTOR.md, projection";

/** `projected_seq` is where the log ends, or what follows is younger than a hub needs for it. */
export async function checkProjection(projectId: string, options: Options): Promise<Verdict> {
  const { changeLog, projections, clock, bounds } = options;
  // Before the head, which only grows.
  const mark = await projections.readMark(projectId);
  const head = await changeLog.readHead(projectId);
  const projected = mark?.projectedSeq ?? 0;
  const seq = head?.seq ?? 0;
  if (projected > seq) return wrong(`documents hold changes up to ${projected}, the log ends at ${seq}`, FOREIGN);
  const upTo = `documents hold changes up to ${projected} of ${seq}`;
  if (projected === seq) return fine(upTo);
  const [waiting] = await changeLog.readAfter(projectId, projected, 1);
  const waitedMs = waiting === undefined ? 0 : clock.now() - Date.parse(waiting.at);
  return waitedMs > bounds.doctorBehindMs
    ? wrong(`${upTo}; the next one is ${Math.round(waitedMs / 1_000)} s old`, LEFT_BEHIND)
    : fine(`${upTo}, the rest is on its way`);
}
