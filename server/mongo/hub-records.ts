import { mongo } from "mongoose";
import type { HubRecords } from "../ports.ts";
import type { SessionDocument } from "./codec.ts";

/** As in models.ts: what each hub has. */
const BY_HUB = { liveness: 1, hub_id: 1, _id: 1, incarnation: 1 } as const;
/** A key for each session is looked at. */
const COUNT_MS = 1_000;
/** MongoDB's word for a query that took longer. */
const MAX_TIME_EXPIRED = 50;

/** Of collections `hubs` and `sessions`. */
export class MongoHubRecords implements HubRecords {
  readonly #hubs: mongo.Collection<{ _id: string; started_at: Date }>;
  readonly #sessions: mongo.Collection<SessionDocument>;

  constructor(db: mongo.Db) {
    const options = { readPreference: "primary", readConcern: { level: "local" } } as const;
    this.#hubs = db.collection("hubs", options);
    this.#sessions = db.collection("sessions", options);
  }

  async readStarts(limit: number): Promise<Map<string, string>> {
    const rows = await this.#hubs
      .find({}, { limit, projection: { started_at: 1 } })
      .sort({ _id: 1 })
      .toArray();
    return new Map(rows.map(({ _id, started_at }) => [_id, started_at.toISOString()]));
  }

  async countSessions(): Promise<Map<string, number> | undefined> {
    const held = { liveness: { $in: ["online", "stale"] }, hub_id: { $type: "string" } };
    try {
      const found = await this.#sessions
        .aggregate<{ _id: string; sessions: number }>(
          [{ $match: held }, { $group: { _id: "$hub_id", sessions: { $sum: 1 } } }],
          { hint: BY_HUB, maxTimeMS: COUNT_MS },
        )
        .toArray();
      return new Map(found.map(({ _id, sessions }) => [_id, sessions]));
    } catch (error) {
      if (error instanceof mongo.MongoServerError && error.code === MAX_TIME_EXPIRED) return undefined;
      throw error;
    }
  }
}
