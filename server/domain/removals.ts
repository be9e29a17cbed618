import type { Entry, Family, Removal } from "./records.ts";

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

/** Tasks that are still there though their sessions were removed after them: whoever removed these did not know them. */
export function removalsOfLeftTasks(projectId: string, families: ReadonlyMap<string, Family>): Removal[] {
  return [...families].flatMap(([session_id, { removed, tasks }]) => {
    if (removed === undefined) return [];
    const { seq } = removed;
    const task_ids = [...tasks].filter(([, { appliedSeq }]) => appliedSeq < seq).map(([taskId]) => taskId);
    return task_ids.length === 0 ? [] : [{ project_id: projectId, session_id, task_ids, seq }];
  });
}
