import { foldEntry } from "../domain/fold.ts";
import { type Entry, Family, type Removal, type SessionRecord, type TaskRecord } from "../domain/records.ts";
import type { ProjectionBatch } from "../ports.ts";

/** Sessions that the entries touch. */
export function touchedSessions(entries: readonly Entry[]): string[] {
  return [...new Set(entries.flatMap((entry) => entry.changes.map((change) => change.session_id)))];
}

/** Folds the entries into the families that they touch and returns the records that this changed. */
export function foldTouched(
  families: ReadonlyMap<string, Family>,
  entries: readonly Entry[],
): Required<ProjectionBatch> {
  const sessions: SessionRecord[] = [];
  const tasks: TaskRecord[] = [];
  const removals: Removal[] = [];
  const project_id = entries[0]?.project_id ?? "";
  for (const sessionId of touchedSessions(entries)) {
    const family = families.get(sessionId) ?? new Family();
    const before = { session: family.session, tasks: new Map(family.tasks), removed: family.removed };
    for (const entry of entries) foldEntry(family, sessionId, entry);
    if (family.removed !== undefined && family.removed !== before.removed) {
      removals.push({ project_id, session_id: sessionId, ...family.removed });
    }
    if (family.session !== undefined && family.session !== before.session) sessions.push(family.session);
    for (const [taskId, record] of family.tasks) if (record !== before.tasks.get(taskId)) tasks.push(record);
  }
  return { sessions, tasks, removals };
}
