import type { Session } from "../../shared/entities.ts";
import { refuse } from "../../shared/errors.ts";
import { foldChange } from "../domain/fold.ts";
import { Family, type LogChange } from "../domain/records.ts";
import type { Base } from "../ports.ts";
import type { Queries } from "../queries/ports.ts";
import { accepted, type Outcome, refused } from "../writer/outcome.ts";
import { type Place, TRIMMED } from "./moment.ts";
import { TOO_FAR } from "./too-far.ts";

interface Options {
  readonly queries: Pick<Queries, "readHistory">;
  readonly base: Base;
  readonly isOver: () => boolean;
}

/** Entries of one query: more than most sessions have between two of their whole states. */
const ENTRIES_PER_READ = 100;

/**
 * A session as of a place in its project's log: back over its own entries to the newest one with its whole state, which
 * every 64th version has, or to the base; then forward again.
 */
export async function readSessionAt(
  projectId: string,
  sessionId: string,
  place: Place,
  { queries, base, isOver }: Options,
): Promise<Outcome<Session>> {
  const back: { readonly change: LogChange; readonly at: string }[] = [];
  let hasState = false;
  for (let before = place.seq + 1; !hasState; ) {
    if (isOver()) return refused(TOO_FAR);
    const entries = await queries.readHistory(projectId, sessionId, before, ENTRIES_PER_READ);
    for (const { at, changes } of entries) {
      for (const change of changes.toReversed()) {
        if (hasState || change.kind !== "session" || change.seq > place.seq) continue;
        back.push({ change, at });
        hasState = change.state !== undefined;
      }
    }
    before = entries.at(-1)?.from_seq ?? 0;
    if (entries.length < ENTRIES_PER_READ) break;
  }
  const family = new Family();
  if (!hasState) {
    // Read after the log: what was trimmed meanwhile is in here.
    family.session = (await base.readFamilies(projectId, [sessionId])).get(sessionId)?.session;
    if ((family.session?.appliedSeq ?? 0) > place.seq) return refused(TRIMMED);
  }
  for (const { change, at } of back.toReversed()) foldChange(family, change, at);
  if (family.session !== undefined) return accepted(family.session.entity);
  return refused(refuse("NOT_FOUND", `session ${sessionId} of project ${projectId} was not there yet`));
}
