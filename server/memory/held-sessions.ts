import { sessionKey } from "../../shared/ids.ts";
import type { HeldSession, HeldSessions } from "../ports.ts";
import type { MemoryProjections } from "./projections.ts";

/** The same documents, by hub: for unit tests and simulation. */
export class MemoryHeldSessions implements HeldSessions {
  readonly #projections: MemoryProjections;

  constructor(projections: MemoryProjections) {
    this.#projections = projections;
  }

  async findOtherHub(hubIds: readonly string[]): Promise<string | undefined> {
    return this.#held().find(({ hub_id }) => hub_id !== undefined && !hubIds.includes(hub_id))?.hub_id;
  }

  async readOf(hubId: string, after: HeldSession | undefined, limit: number): Promise<HeldSession[]> {
    const last = after === undefined ? "" : sessionKey(after.projectId, after.sessionId);
    return this.#held()
      .filter(({ hub_id, project_id, session_id }) => hub_id === hubId && sessionKey(project_id, session_id) > last)
      .map(({ project_id, session_id, incarnation, liveness }) => ({
        projectId: project_id,
        sessionId: session_id,
        incarnation,
        liveness: liveness as HeldSession["liveness"],
      }))
      .toSorted((a, b) => (sessionKey(a.projectId, a.sessionId) < sessionKey(b.projectId, b.sessionId) ? -1 : 1))
      .slice(0, limit);
  }

  async idsOf(projectId: string, limit: number): Promise<string[]> {
    const ofProject = this.#held().filter(({ project_id }) => project_id === projectId);
    return ofProject.slice(0, limit).map(({ session_id }) => session_id);
  }

  #held() {
    return [...this.#projections.save().sessions.values()]
      .map(({ entity }) => entity)
      .filter(({ liveness }) => liveness === "online" || liveness === "stale");
  }
}
