import type { Entry, Removal } from "./records.ts";

/** The newest removal of each of these sessions in entries, which come in their order; the log does not know the tasks. */
export function newestRemovals(entries: readonly Entry[], sessionIds: readonly string[]): Removal[] {
  const wanted = new Set(sessionIds);
  const removals = new Map<string, Removal>();
  for (const { project_id, changes } of entries) {
    for (const { type, session_id, seq } of changes) {
      if (type !== "removed" || !wanted.has(session_id)) continue;
      removals.set(session_id, { project_id, session_id, task_ids: [], seq });
    }
  }
  return [...removals.values()];
}
