import type { mongo } from "mongoose";
import type { Hubs } from "../ports.ts";
import { FAST } from "./database.ts";

interface HubDocument {
  _id: string;
  beat: number;
  started_at: Date;
}

/**
 * Collection `hubs`. Read and written at the primary without waiting for others: a row that a new primary has lost or
 * set back is only a number that changed, and the next raise mends it.
 */
export class MongoHubs implements Hubs {
  readonly #hubs: mongo.Collection<HubDocument>;

  constructor(db: mongo.Db) {
    this.#hubs = db.collection("hubs", {
      readPreference: "primary",
      readConcern: { level: "local" },
      writeConcern: FAST,
    });
  }

  async raise(hubId: string, startedAt: string): Promise<number> {
    const raised = await this.#hubs.findOneAndUpdate(
      { _id: hubId },
      { $inc: { beat: 1 }, $setOnInsert: { started_at: new Date(startedAt) } },
      { upsert: true, returnDocument: "after" },
    );
    return raised?.beat ?? 0;
  }

  async read(limit: number): Promise<Map<string, number>> {
    const rows = await this.#hubs
      .find({}, { projection: { beat: 1 } })
      .sort({ _id: 1 })
      .limit(limit)
      .toArray();
    return new Map(rows.map((row) => [row._id, row.beat]));
  }

  async remove(hubId: string, beat?: number): Promise<void> {
    await this.#hubs.deleteOne({ _id: hubId, ...(beat === undefined ? {} : { beat }) });
  }
}
