import type { Session } from "../../shared/entities.ts";
import type { Entry, LogChange } from "./records.ts";

/** What a session counts as: `<status>/<liveness>`. */
export type Standing = `${Session["status"]}/${Session["liveness"]}`;

/** Sessions of a project by standing; what is not in here is 0. */
export type Counts = ReadonlyMap<string, number>;

export function standingOf({ status, liveness }: Pick<Session, "status" | "liveness">): Standing {
  return `${status}/${liveness}`;
}

/**
 * How an entry moves the counts of its project, from nothing but the entry: a change that moves a session says where it
 * stood before. Undefined when one does not, as those of the first releases. `isCounted`: which changes to look at.
 */
export function countsMoved(entry: Entry, isCounted: (change: LogChange) => boolean = () => true): Counts | undefined {
  const moved = new Map<string, number>();
  for (const change of entry.changes) {
    if (change.kind !== "session" || !isCounted(change)) continue;
    // What moved the session before is out of the log, perhaps: nobody can go on from an earlier count.
    if (change.type === "removed") return undefined;
    if (change.type === "created") {
      if (change.state === undefined) return undefined;
      addTo(moved, standingOf(change.state as Session), 1);
    } else if (change.was !== undefined) {
      addTo(moved, change.was, -1);
      addTo(moved, standingAfter(change.was, change), 1);
    } else if (change.patch === undefined || "status" in change.patch || "liveness" in change.patch) {
      return undefined;
    }
  }
  return moved;
}

export function addCounts(counts: Counts, more: Counts): Counts {
  if (more.size === 0) return counts;
  const sum = new Map(counts);
  for (const [standing, count] of more) addTo(sum, standing, count);
  return sum;
}

function addTo(counts: Map<string, number>, standing: string, count: number): void {
  const sum = (counts.get(standing) ?? 0) + count;
  if (sum === 0) counts.delete(standing);
  else counts.set(standing, sum);
}

function standingAfter(was: Standing, { patch, state }: LogChange): string {
  const [status, liveness] = was.split("/");
  const now = (state ?? patch ?? {}) as { readonly status?: string; readonly liveness?: string };
  return `${now.status ?? status}/${now.liveness ?? liveness}`;
}
