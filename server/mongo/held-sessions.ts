import type { mongo } from "mongoose";
import { sessionKey } from "../../shared/ids.ts";
import type { HeldSession, HeldSessions } from "../ports.ts";
import type { SessionDocument } from "./codec.ts";

const HELD = { $in: ["online", "stale"] } as const;
/** As in models.ts: what lives in a project. Final ones, of which there may be many, are left out by the index. */
const LIVE_OF_PROJECT = { project_id: 1, status: 1, ended_at: -1 } as const;
const LIVE = { $in: ["ACTIVE", "IDLE", "WAITING", "PAUSED"] } as const;

/** What is asked of hubs is answered by ranges of one index of `sessions`; no document is looked at. */
export class MongoHeldSessions implements HeldSessions {
  readonly #sessions: mongo.Collection<SessionDocument>;

  constructor(db: mongo.Db) {
    this.#sessions = db.collection("sessions", { readPreference: "primary", readConcern: { level: "local" } });
  }

  /** The ranges between the hubs that are left out: nearly always empty, so that hardly a key is looked at. */
  async findOtherHub(hubIds: readonly string[]): Promise<string | undefined> {
    const found = await this.#sessions.findOne(
      { liveness: HELD, hub_id: { $nin: [...hubIds], $type: "string" } },
      { projection: { _id: 0, hub_id: 1 } },
    );
    return found?.hub_id;
  }

  async readOf(hubId: string, after: HeldSession | undefined, limit: number): Promise<HeldSession[]> {
    const later = after === undefined ? {} : { _id: { $gt: sessionKey(after.projectId, after.sessionId) } };
    const found = await this.#sessions
      .find({ liveness: HELD, hub_id: hubId, ...later } as mongo.Filter<SessionDocument>, {
        projection: { liveness: 1, incarnation: 1 },
      })
      .sort({ _id: 1 })
      .limit(limit)
      .toArray();
    return found.map(({ _id, incarnation, liveness }) => {
      const [projectId = "", sessionId = ""] = _id.split("/");
      return { projectId, sessionId, incarnation, liveness: liveness as HeldSession["liveness"] };
    });
  }

  async idsOf(projectId: string, limit: number): Promise<string[]> {
    const found = await this.#sessions
      .find({ project_id: projectId, status: LIVE, liveness: HELD } as mongo.Filter<SessionDocument>, {
        projection: { session_id: 1 },
        hint: LIVE_OF_PROJECT,
        limit,
        // In one reply.
        batchSize: limit + 1,
      })
      .toArray();
    return found.map(({ session_id }) => session_id);
  }
}
