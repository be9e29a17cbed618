import type { mongo } from "mongoose";
import { sessionKey } from "../../shared/ids.ts";
import type { HeartbeatInfo } from "../../shared/messages/frames.ts";
import type { BeatRow, Beats } from "../ports.ts";
import { FAST } from "./database.ts";

interface BeatDocument {
  _id: string;
  hub_id: string;
  last_heartbeat_at: Date;
  heartbeat: Omit<HeartbeatInfo, "last_heartbeat_at">;
}

/** Collection `beats`: when each session was last heard of. A hub writes only rows that are its own. */
export class MongoBeats implements Beats {
  readonly #db: mongo.Db;
  readonly #beats: mongo.Collection<BeatDocument>;

  constructor(db: mongo.Db) {
    this.#db = db;
    this.#beats = db.collection("beats");
  }

  /** One update command. E11000 is the row of another hub, which owns the session by now: rightly not written. */
  async write(hubId: string, rows: readonly BeatRow[]): Promise<void> {
    if (rows.length === 0) return;
    const updates = rows.map((row) => {
      const _id = sessionKey(row.projectId, row.sessionId);
      return {
        q: row.claim ? { _id } : { _id, hub_id: hubId },
        u: { hub_id: hubId, last_heartbeat_at: new Date(row.lastHeartbeatAt), heartbeat: row.heartbeat },
        upsert: true,
      };
    });
    await this.#db.command({ update: "beats", updates, ordered: false, writeConcern: FAST });
  }

  /** The last heartbeats of these sessions, by `<project>/<session>`. */
  async read(keys: readonly string[]): Promise<Map<string, HeartbeatInfo>> {
    const found = await this.#beats.find({ _id: { $in: [...keys] } }).toArray();
    return new Map(
      found.map((row) => [row._id, { last_heartbeat_at: row.last_heartbeat_at.toISOString(), ...row.heartbeat }]),
    );
  }
}
