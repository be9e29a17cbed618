import { foldChange } from "../../server/domain/fold.ts";
import { type Entry, Family, type LogChange } from "../../server/domain/records.ts";

/** Families by session, of the changes up to a seq. */
export function foldAll(entries: readonly Entry[], upTo = Number.POSITIVE_INFINITY): Map<string, Family> {
  const families = new Map<string, Family>();
  for (const entry of entries) {
    for (const change of entry.changes) {
      if (change.seq > upTo) return families;
      const family = families.get(change.session_id) ?? new Family();
      families.set(change.session_id, family);
      foldChange(family, change, entry.at);
    }
  }
  return families;
}

/** Seqs at which sessions were removed, the newest of each. */
export function newestRemovals(entries: readonly Entry[]): Map<string, number> {
  const removals = new Map<string, number>();
  for (const { changes } of entries) {
    for (const { type, session_id, seq } of changes) if (type === "removed") removals.set(session_id, seq);
  }
  return removals;
}

/** Of a session, 0 where it never was. */
export function removedAt(entries: readonly Entry[], sessionId: string): number {
  return newestRemovals(entries).get(sessionId) ?? 0;
}

/** What may be left of the log when all that was removed is forgotten. */
export function withoutForgotten(entries: readonly Entry[]): Entry[] {
  const removals = newestRemovals(entries);
  const isLeft = ({ type, session_id, seq }: LogChange) => type === "removed" || seq > (removals.get(session_id) ?? 0);
  return entries.map((entry) => ({ ...entry, changes: entry.changes.filter(isLeft) }));
}

/** The changes of a session, cut where it was removed: the sessions of that id that there were, one after the other. */
export function livesOf(entries: readonly Entry[], sessionId: string): LogChange[][] {
  const lives: LogChange[][] = [[]];
  for (const change of entries.flatMap(({ changes }) => changes)) {
    if (change.session_id !== sessionId) continue;
    if (change.type === "removed") lives.push([]);
    else lives.at(-1)?.push(change);
  }
  return lives;
}
