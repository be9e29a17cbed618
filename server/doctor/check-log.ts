import type { Projections } from "../ports.ts";
import type { EntryOutline, Inspection } from "./ports.ts";
import { fine, listed, plural, untold, type Verdict, wrong } from "./verdict.ts";

interface Options {
  readonly inspection: Pick<Inspection, "readOutlinesBack">;
  readonly projections: Pick<Projections, "readMark">;
  readonly bounds: { readonly entriesPerRead: number; readonly doctorEntries: number };
}

const WHAT_TO_DO =
  "entries were removed past the hub; restore the database from a backup, or keep what is there: docs/DOCTOR.md, log";

/** From the head back: each entry begins where the one before it ends, the first one at `log_start`. */
export async function checkLog(projectId: string, options: Options, isOver: () => boolean): Promise<Verdict> {
  const { inspection, projections, bounds } = options;
  // Before the entries: trimming raises it before it removes any.
  const mark = await projections.readMark(projectId);
  const findings: string[] = [];
  let looked = 0;
  let next: EntryOutline | undefined;
  let isWhole = false;
  while (!isWhole && looked < bounds.doctorEntries) {
    if (isOver()) break;
    const entries = await inspection.readOutlinesBack(projectId, next?.from_seq, bounds.entriesPerRead);
    for (const entry of entries) {
      if (next !== undefined) findings.push(...breaksBetween(entry, next, mark?.logStart ?? 1));
      next = entry;
    }
    looked += entries.length;
    isWhole = entries.length < bounds.entriesPerRead;
  }
  if (next === undefined) return isWhole ? judgeEmpty(mark?.projectedSeq) : untold("the time of this check is over");
  if (isWhole) {
    const logStart = mark?.logStart ?? 1;
    // It may have been trimmed meanwhile.
    const now = next.from_seq > logStart ? await projections.readMark(projectId) : mark;
    if (next.from_seq > (now?.logStart ?? 1)) findings.push(missing(logStart, next.from_seq - 1));
  }
  if (findings.length > 0) return wrong(listed(findings), WHAT_TO_DO);
  const far = isWhole ? "all that there are" : `back to change ${next.from_seq.toLocaleString("en")}`;
  return fine(`${plural(looked, "entry", "entries")} without a hole, ${far}`);
}

/** Entries before `log_start` are what a trim has not removed yet: nobody reads them. */
function breaksBetween(entry: EntryOutline, next: EntryOutline, logStart: number): string[] {
  if (next.from_seq <= logStart) return [];
  const expected = entry.to_seq + 1;
  if (entry.epoch !== next.epoch) return [`entry ${next.from_seq} is of another epoch than the one before it`];
  if (expected < next.from_seq) return [missing(expected, next.from_seq - 1)];
  return expected > next.from_seq ? [`entries ${entry.from_seq} and ${next.from_seq} overlap`] : [];
}

function missing(from: number, to: number): string {
  return from === to ? `change ${from} is missing` : `changes ${from} to ${to} are missing`;
}

function judgeEmpty(projectedSeq: number | undefined): Verdict {
  if (projectedSeq === undefined || projectedSeq === 0) return fine("the project has no changes");
  return wrong(`the log is empty, and documents hold changes up to ${projectedSeq}`, WHAT_TO_DO);
}
