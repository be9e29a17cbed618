import type { BOUNDS } from "../bounds.ts";
import type { Heartbeats } from "../liveness/heartbeats.ts";
import type { Clock } from "../ports.ts";
import type { Queries } from "./ports.ts";
import { viewSessions } from "./session-view.ts";

interface Sources {
  readonly queries: Queries;
  readonly heartbeats: Pick<Heartbeats, "lastOf" | "stillKeys">;
  readonly stalledAfterMs: number;
  readonly clock: Clock;
  readonly bounds: typeof BOUNDS;
}

/**
 * How many sessions of each of these projects are `stalled`. That alone depends on heartbeats, which are no changes: those
 * whose work stands still are few, and are looked at one by one; this hub's own as of now, others' as last written back.
 */
export async function countStalled(sources: Sources, projectIds: readonly string[]): Promise<Map<string, number>> {
  const { queries, heartbeats, stalledAfterMs, clock, bounds } = sources;
  const counts = new Map(projectIds.map((projectId) => [projectId, 0]));
  if (stalledAfterMs === 0) return counts;
  const since = new Date(clock.now() - bounds.stillSinceMs).toISOString();
  const elsewhere = await queries.findStill(since, bounds.stillSessions);
  const keys = new Set([...heartbeats.stillKeys(), ...elsewhere]);
  const wanted = [...keys].filter((key) => counts.has(key.slice(0, key.indexOf("/"))));
  for (const { project_id, display } of await viewSessions(sources, await queries.findSessionsByKey(wanted))) {
    if (display.state === "stalled") counts.set(project_id, (counts.get(project_id) ?? 0) + 1);
  }
  return counts;
}
