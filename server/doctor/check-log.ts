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

/** Something is wrong before the entry that begins at `seq`. */
interface Break {
  readonly seq: number;
  readonly finding: string;
}

/** From the head back: each entry begins where the one before it ends, the first one at `log_start`. */
export async function checkLog(projectId: string, options: Options, isOver: () => boolean): Promise<Verdict> {
  const { inspection, projections, bounds } = options;
  const mark = await projections.readMark(projectId);
  const breaks: Break[] = [];
  /** A purge begins another one, and none comes back. */
  const epochs = new Set<string>();
  let looked = 0;
  let next: EntryOutline | undefined;
  let isWhole = false;
  while (!isWhole && looked < bounds.doctorEntries) {
    if (isOver()) break;
    const entries = await inspection.readOutlinesBack(projectId, next?.from_seq, bounds.entriesPerRead);
    for (const entry of entries) {
      const finding = next === undefined ? undefined : breakBetween(entry, next, epochs);
      if (next !== undefined && finding !== undefined) breaks.push({ seq: next.from_seq, finding });
      next = entry;
      epochs.add(entry.epoch);
    }
    looked += entries.length;
    isWhole = entries.length < bounds.entriesPerRead;
  }
  if (next === undefined) return isWhole ? judgeEmpty(mark?.projectedSeq) : untold("the time of this check is over");
  const logStart = mark?.logStart ?? 1;
  if (isWhole && next.from_seq > logStart) {
    breaks.push({ seq: next.from_seq, finding: missing(logStart, next.from_seq - 1) });
  }
  const findings = breaks.length === 0 ? [] : await notTrimmed(projectId, breaks, projections);
  if (findings.length > 0) return wrong(listed(findings), WHAT_TO_DO);
  const far = isWhole ? "all that there are" : `back to change ${next.from_seq.toLocaleString("en")}`;
  return fine(`${plural(looked, "entry", "entries")} without a hole, ${far}`);
}

/** Trimming raises `log_start` before it removes anything, and what is before that nobody reads. */
async function notTrimmed(
  projectId: string,
  breaks: readonly Break[],
  projections: Options["projections"],
): Promise<string[]> {
  const logStart = (await projections.readMark(projectId))?.logStart ?? 1;
  return breaks.filter(({ seq }) => seq > logStart).map(({ finding }) => finding);
}

function breakBetween(entry: EntryOutline, next: EntryOutline, later: ReadonlySet<string>): string | undefined {
  const expected = entry.to_seq + 1;
  if (entry.epoch !== next.epoch && later.has(entry.epoch)) {
    return `entry ${next.from_seq} is of another epoch than those around it`;
  }
  if (expected < next.from_seq) return missing(expected, next.from_seq - 1);
  return expected > next.from_seq ? `entries ${entry.from_seq} and ${next.from_seq} overlap` : undefined;
}

function missing(from: number, to: number): string {
  return from === to ? `change ${from} is missing` : `changes ${from} to ${to} are missing`;
}

function judgeEmpty(projectedSeq: number | undefined): Verdict {
  if (projectedSeq === undefined || projectedSeq === 0) return fine("the project has no changes");
  return wrong(`the log is empty, and documents hold changes up to ${projectedSeq}`, WHAT_TO_DO);
}
