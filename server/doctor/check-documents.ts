import { Family } from "../domain/records.ts";
import type { Base, Projections } from "../ports.ts";
import type { Queries } from "../queries/ports.ts";
import { type Comparison, compareFamily, type DatedChange } from "./compare-family.ts";
import type { Inspection } from "./ports.ts";
import { fine, listed, plural, untold, type Verdict, wrong } from "./verdict.ts";

interface Options {
  readonly inspection: Pick<Inspection, "findRecentSessions">;
  readonly projections: Pick<Projections, "readMark" | "readFamilies">;
  readonly queries: Pick<Queries, "readHistory">;
  readonly base: Pick<Base, "readFamilies">;
  readonly bounds: {
    readonly doctorSampleEntries: number;
    readonly doctorSessions: number;
    readonly doctorHistoryEntries: number;
  };
}

const MAKE_ANEW = "stop all hubs and have these documents made anew from the log: docs/DOCTOR.md, documents";
const KEEP = "do not make documents anew, they hold what log and base have lost: docs/DOCTOR.md, documents";

/** Of the sessions that changed last: their documents and those of their tasks are what base and log make of them. */
export async function checkDocuments(projectId: string, options: Options, isOver: () => boolean): Promise<Verdict> {
  const { inspection, bounds } = options;
  const { doctorSampleEntries, doctorSessions } = bounds;
  const sessionIds = await inspection.findRecentSessions(projectId, doctorSampleEntries, doctorSessions);
  const gaps: string[] = [];
  const differences: string[] = [];
  let looked = 0;
  for (const sessionId of sessionIds) {
    if (isOver()) break;
    const found = await compareSession(projectId, sessionId, options);
    gaps.push(...found.gaps.map((gap) => `${sessionId}: ${gap}`));
    differences.push(...found.differences.map((difference) => `${sessionId}: ${difference}`));
    looked += 1;
  }
  if (gaps.length > 0) return wrong(listed([...gaps, ...differences]), KEEP);
  if (differences.length > 0) return wrong(listed(differences), MAKE_ANEW);
  if (looked === 0 && sessionIds.length > 0) return untold("the time of this check is over");
  return fine(`${plural(looked, "session")} that changed last and their tasks are as the log says`);
}

/** In the order that `FamilyEvidence` asks for: what is read later is never older. */
async function compareSession(projectId: string, sessionId: string, options: Options): Promise<Comparison> {
  const { projections, queries, base, bounds } = options;
  const mark = await projections.readMark(projectId);
  const documents = (await projections.readFamilies(projectId, [sessionId])).get(sessionId) ?? new Family();
  const entries = await queries.readHistory(projectId, sessionId, undefined, bounds.doctorHistoryEntries);
  const changes = entries
    .toReversed()
    .flatMap(({ at, changes: some }) => some.map((change): DatedChange => ({ change, at })));
  return compareFamily({
    projectedSeq: mark?.projectedSeq ?? 0,
    documents,
    changes,
    isWhole: entries.length < bounds.doctorHistoryEntries,
    base: (await base.readFamilies(projectId, [sessionId])).get(sessionId) ?? new Family(),
  });
}
