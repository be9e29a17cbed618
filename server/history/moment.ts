import { z } from "zod";
import { type Refusal, refuse, refuseFields } from "../../shared/errors.ts";
import { Time } from "../../shared/rest/query.ts";
import { EMPTY_HEAD } from "../domain/records.ts";
import type { ChangeLog, Projections } from "../ports.ts";
import { accepted, type Outcome, refused } from "../writer/outcome.ts";

/** A moment in a project's life: right after the change with this seq, or at this time (ISO 8601 UTC). */
export type Moment = { readonly seq: number } | { readonly time: string };

/** `at` as it stands in URLs. */
export const MomentText = z.union(
  [
    z
      .string()
      .regex(/^\d{1,15}$/)
      .transform((text): Moment => ({ seq: Number(text) })),
    Time.transform((time): Moment => ({ time })),
  ],
  { error: "must be a seq, or an ISO 8601 time such as 2026-11-22T06:00:00Z" },
);

/** A moment as a place in the log. */
export interface Place {
  /** The last change that had happened by then, 0 for none. */
  readonly seq: number;
  /** The time that was asked for; for a seq, that of its change. */
  readonly time: string;
  readonly epoch: string;
  /** First seq that the log still has; what is before stands in the base. */
  readonly logStart: number;
  /** How often traces of removed sessions have gone. */
  readonly forgotten: number;
}

export const TRIMMED: Refusal = refuse("GONE", "the log no longer reaches back to this moment");

/**
 * Finds a moment in the log: `GONE` when it is trimmed. Reads the times of some five to forty entries for a time, of one
 * for a seq.
 */
export async function findPlace(
  projectId: string,
  moment: Moment,
  { changeLog, projections }: { readonly changeLog: ChangeLog; readonly projections: Projections },
): Promise<Outcome<Place>> {
  const head = (await changeLog.readHead(projectId)) ?? EMPTY_HEAD;
  const { logStart = 1, forgotten = 0 } = (await projections.readMark(projectId)) ?? {};
  const placeAt = (seq: number, time: string) => accepted({ seq, time, epoch: head.epoch, logStart, forgotten });
  if ("time" in moment) {
    if (head.seq === 0 || moment.time >= head.at) return placeAt(head.seq, moment.time);
    const seq = await lastBefore(projectId, moment.time, logStart, head, changeLog);
    return seq === undefined ? refused(TRIMMED) : placeAt(seq, moment.time);
  }
  const { seq } = moment;
  if (seq > head.seq) {
    return refused(refuseFields([{ field: "at", message: `is ahead of the newest change, which is ${head.seq}` }]));
  }
  if (seq < logStart - 1) return refused(TRIMMED);
  // Nobody knows any more when the last change of the base was made: it was before the next one.
  const span = seq === 0 ? undefined : await changeLog.readSpan(projectId, Math.max(seq, logStart));
  return placeAt(seq, span?.at ?? head.at);
}

/**
 * The last change made at this time or before, 0 for none; undefined when that is trimmed. `at` grows with seq, mostly at
 * an even rate: every other guess supposes so, and those between halve what is left however uneven it is.
 */
async function lastBefore(
  projectId: string,
  time: string,
  logStart: number,
  head: { readonly seq: number; readonly at: string },
  changeLog: ChangeLog,
): Promise<number | undefined> {
  const first = await changeLog.readSpan(projectId, logStart);
  if (first === undefined) return undefined;
  if (first.at > time) return logStart === 1 ? 0 : undefined;
  let found = { seq: first.to_seq, at: first.at };
  let after = head;
  for (let isEven = true; found.seq + 1 < after.seq; isEven = !isEven) {
    const between = after.seq - found.seq - 1;
    const share = isEven ? shareOfTime(found.at, time, after.at) : 0.5;
    const span = await changeLog.readSpan(
      projectId,
      found.seq + 1 + Math.min(between - 1, Math.floor(between * share)),
    );
    if (span === undefined) return undefined;
    if (span.at <= time) found = { seq: span.to_seq, at: span.at };
    else after = { seq: span.from_seq, at: span.at };
  }
  return found.seq;
}

/** Where a time lies between two others, 0 to 1. */
function shareOfTime(from: string, time: string, to: string): number {
  const [start, end] = [Date.parse(from), Date.parse(to)];
  return end > start ? (Date.parse(time) - start) / (end - start) : 0.5;
}
