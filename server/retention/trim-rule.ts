import type { Entry } from "../domain/records.ts";

/** What of a project's log may go. Times are ISO 8601. */
export interface TrimTerms {
  /** Nothing younger goes, whatever the rest says: a hub that was away so long reads the log anew before it appends. */
  readonly youngest: string;
  /** What is older goes; undefined: age is no reason. */
  readonly olderThan: string | undefined;
  /** Changes that stay; undefined: number is no reason. */
  readonly keptChanges: number | undefined;
  readonly headSeq: number;
  /** Every change up to here is in the documents: loading reads the log after it. */
  readonly projectedSeq: number;
}

/** How many of these entries, the oldest of the log, may be trimmed. Never the last one: it holds the head. */
export function countTrimmable(entries: readonly Pick<Entry, "to_seq" | "at">[], terms: TrimTerms): number {
  const kept = entries.findIndex((entry) => !mayGo(entry, terms));
  return kept === -1 ? entries.length : kept;
}

function mayGo({ to_seq, at }: Pick<Entry, "to_seq" | "at">, terms: TrimTerms): boolean {
  const { youngest, olderThan, keptChanges, headSeq, projectedSeq } = terms;
  if (at >= youngest || to_seq >= headSeq || to_seq > projectedSeq) return false;
  return (olderThan !== undefined && at < olderThan) || (keptChanges !== undefined && to_seq <= headSeq - keptChanges);
}
