import type { mongo } from "mongoose";
import type { LostSession, LostSessions } from "../ports.ts";
import type { SessionDocument } from "./codec.ts";

/** One range of the index of lost sessions. */
export class MongoLostSessions implements LostSessions {
  readonly #sessions: mongo.Collection<SessionDocument>;

  constructor(db: mongo.Db) {
    this.#sessions = db.collection("sessions");
  }

  async findBefore(lostAt: string, limit: number): Promise<LostSession[]> {
    const found = await this.#sessions
      .find(
        { liveness: "lost", lost_at: { $lt: new Date(lostAt) } },
        { projection: { project_id: 1, session_id: 1, hub_id: 1, incarnation: 1 }, readConcern: { level: "local" } },
      )
      .sort({ lost_at: 1 })
      .limit(limit)
      .toArray();
    return found.map(({ project_id, session_id, hub_id = "", incarnation }) => ({
      projectId: project_id,
      sessionId: session_id,
      hubId: hub_id,
      incarnation,
    }));
  }
}
