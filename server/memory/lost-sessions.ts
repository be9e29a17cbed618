import type { LostSession, LostSessions } from "../ports.ts";
import type { MemoryProjections } from "./projections.ts";

/** Lost sessions among documents in memory: for unit tests and simulation. */
export class MemoryLostSessions implements LostSessions {
  readonly #projections: MemoryProjections;

  constructor(projections: MemoryProjections) {
    this.#projections = projections;
  }

  async findBefore(lostAt: string, limit: number): Promise<LostSession[]> {
    return [...this.#projections.save().sessions.values()]
      .flatMap(({ entity: { lost_at: at, ...entity } }) =>
        entity.liveness === "lost" && at !== undefined && at < lostAt ? [{ at, entity }] : [],
      )
      .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))
      .slice(0, limit)
      .map(({ entity: { project_id, session_id, hub_id = "", incarnation } }) => ({
        projectId: project_id,
        sessionId: session_id,
        hubId: hub_id,
        incarnation,
      }));
  }
}
