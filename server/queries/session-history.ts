import type { Change } from "../../shared/entities.ts";
import type { RecordedChange } from "../../shared/rest/changes.ts";
import { recordedChange } from "../following/frames.ts";
import { accepted, type Outcome } from "../writer/outcome.ts";
import { type CursorScope, decodeCursor, encodeCursor } from "./cursor.ts";
import { type Page, type PageRequest, pageOf, refuseCursor } from "./list.ts";
import type { Queries } from "./ports.ts";

/** Entries of one query, and of one request: past it the page ends early and its cursor goes on from there. */
const ENTRIES_PER_READ = 100;
const ENTRIES_PER_REQUEST = 1_000;

export interface HistoryFilter {
  readonly project_id: string;
  readonly session_id: string;
  readonly kind?: Change["kind"] | undefined;
}

/** What happened to a session and its tasks, newest first. */
export async function readHistory(
  queries: Queries,
  filter: HistoryFilter,
  { limit, cursor }: PageRequest,
): Promise<Outcome<Page<RecordedChange>>> {
  const scope: CursorScope = ["changes", { ...filter }];
  const start = cursor === undefined ? undefined : seqOf(decodeCursor(scope, cursor));
  if (cursor !== undefined && start === undefined) return refuseCursor();
  const items: RecordedChange[] = [];
  let before = start;
  for (let scanned = 0; ; ) {
    const entries = await queries.readHistory(filter.project_id, filter.session_id, before, ENTRIES_PER_READ);
    for (const { at, changes } of entries) {
      for (const change of changes.toReversed()) {
        // The page before may have ended inside an entry.
        if (start !== undefined && change.seq >= start) continue;
        if (filter.kind !== undefined && change.kind !== filter.kind) continue;
        const last = items.at(-1);
        if (items.length === limit && last !== undefined) {
          return accepted(pageOf(items, encodeCursor(scope, [last.seq])));
        }
        items.push(recordedChange(change, at));
      }
    }
    before = entries.at(-1)?.from_seq;
    if (before === undefined || entries.length < ENTRIES_PER_READ) return accepted(pageOf(items, undefined));
    scanned += entries.length;
    if (scanned >= ENTRIES_PER_REQUEST) return accepted(pageOf(items, encodeCursor(scope, [before])));
  }
}

function seqOf(place: readonly unknown[] | undefined): number | undefined {
  const [seq] = place ?? [];
  return place?.length === 1 && Number.isSafeInteger(seq) && (seq as number) > 0 ? (seq as number) : undefined;
}
