import { type Refusal, refuse } from "../../shared/errors.ts";
import { type Position, positionText } from "../../shared/position.ts";
import type { RecordedChange } from "../../shared/rest/changes.ts";
import type { ChangesPage } from "../../shared/rest/projects.ts";
import type { BOUNDS } from "../bounds.ts";
import { EMPTY_HEAD, type Entry, type Head } from "../domain/records.ts";
import { recordedChanges } from "../following/frames.ts";
import type { ChangeLog } from "../ports.ts";
import { accepted, type Outcome, refused } from "../writer/outcome.ts";

interface Options {
  readonly changeLog: ChangeLog;
  readonly bounds: Pick<typeof BOUNDS, "entriesPerRead" | "historyPageBytes">;
}

/**
 * The changes after `since`, without it from the very first one. As far as the log reaches back: what is trimmed, or of
 * another life of the numbering, is `GONE` and never passed over. Holds everything that was acked before the request,
 * up to `limit` changes and some bytes.
 */
export async function readChangesSince(
  projectId: string,
  since: Position | undefined,
  limit: number,
  { changeLog, bounds }: Options,
): Promise<Outcome<ChangesPage>> {
  const head = (await changeLog.readHead(projectId)) ?? EMPTY_HEAD;
  // Whoever stands before the first change holds nothing that could be of another epoch.
  const start = since === undefined || (since.epoch === "" && since.seq === 0) ? { ...head, seq: 0 } : since;
  if (start.epoch !== head.epoch || start.seq > head.seq) return refused(ANOTHER_EPOCH);
  const items: RecordedChange[] = [];
  let seq = start.seq;
  let bytes = 0;
  while (seq < head.seq && items.length < limit) {
    const entries = await readNext(changeLog, projectId, seq, Math.min(limit - items.length, bounds.entriesPerRead));
    if (entries === undefined || !isContinuation(entries, seq, head)) return refused(TRIMMED);
    // Those of removed sessions are out of their entries.
    const end = entries.at(-1)?.to_seq ?? seq;
    for (const change of recordedChanges(entries, seq)) {
      bytes += JSON.stringify(change).length;
      if (items.length === limit || (items.length > 0 && bytes > bounds.historyPageBytes)) {
        return accepted(pageOf(items, head.epoch, seq));
      }
      items.push(change);
      seq = change.seq;
    }
    seq = end;
  }
  return accepted(pageOf(items, head.epoch, seq));
}

const ANOTHER_EPOCH: Refusal = refuse(
  "GONE",
  "since is of another epoch, or ahead of the log; begin again with the project's snapshot",
);
const TRIMMED: Refusal = refuse(
  "GONE",
  "the log no longer reaches back to since; begin again with the project's snapshot",
);

function pageOf(items: readonly RecordedChange[], epoch: string, seq: number): ChangesPage {
  return { items, length: items.length, next: positionText({ epoch, seq }), epoch, seq };
}

/** Entries that hold the changes after `seq`; the first may begin before, when `seq` lies inside it. */
async function readNext(
  changeLog: ChangeLog,
  projectId: string,
  seq: number,
  limit: number,
): Promise<readonly Entry[] | undefined> {
  const entries = await changeLog.readAfter(projectId, seq, limit);
  if (entries[0]?.from_seq === seq + 1) return entries;
  const first = await changeLog.readHolding(projectId, seq + 1);
  return first === undefined ? undefined : [first];
}

/** Without a hole after `seq`, and of the head's epoch. */
function isContinuation(entries: readonly Entry[], seq: number, { epoch }: Head): boolean {
  let next = seq + 1;
  for (const entry of entries) {
    if (entry.from_seq > next || entry.to_seq < next || entry.epoch !== epoch) return false;
    next = entry.to_seq + 1;
  }
  return true;
}
