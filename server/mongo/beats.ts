import type { mongo } from "mongoose";
import { sessionKey } from "../../shared/ids.ts";
import type { HeartbeatInfo } from "../../shared/messages/frames.ts";
import type { BeatRow, Beats, StoredBeat } from "../ports.ts";
import { FAST, MAJORITY } from "./database.ts";
import { findAll } from "./find-all.ts";

export interface BeatDocument {
  _id: string;
  hub_id: string;
  incarnation?: number;
  last_heartbeat_at: Date;
  last_activity_at?: Date;
  heartbeat: Omit<HeartbeatInfo, "last_heartbeat_at" | "last_activity_at">;
  /** There only where it is true: an index has these rows alone. */
  still?: true;
}

/** Collection `beats`: when each session was last heard of. A hub writes only rows that are its own. */
export class MongoBeats implements Beats {
  readonly #db: mongo.Db;
  readonly #beats: mongo.Collection<BeatDocument>;

  constructor(db: mongo.Db) {
    this.#db = db;
    this.#beats = db.collection("beats");
  }

  /**
   * One update command. E11000 is the row of another hub, which owns the session by now, or of a session that was removed:
   * rightly not written.
   */
  async write(hubId: string, rows: readonly BeatRow[]): Promise<void> {
    if (rows.length === 0) return;
    const updates = rows.map((row) => {
      const _id = sessionKey(row.projectId, row.sessionId);
      return {
        q: row.claim ? { _id, removed_at: { $exists: false } } : { _id, hub_id: hubId },
        u: {
          hub_id: hubId,
          incarnation: row.incarnation,
          last_heartbeat_at: new Date(row.lastHeartbeatAt),
          ...(row.lastActivityAt === undefined ? {} : { last_activity_at: new Date(row.lastActivityAt) }),
          heartbeat: row.heartbeat,
          ...(row.isStill ? { still: true } : {}),
        },
        upsert: true,
      };
    });
    await this.#db.command({ update: "beats", updates, ordered: false, writeConcern: FAST });
  }

  async read(keys: readonly string[]): Promise<Map<string, StoredBeat>> {
    if (keys.length === 0) return new Map();
    const query = {
      filter: { _id: { $in: keys }, hub_id: { $exists: true } },
      limit: keys.length,
      readConcern: MAJORITY,
    };
    const found = await findAll<BeatDocument>(this.#db, "beats", query);
    return new Map(found.map((row) => [row._id, stored(row)]));
  }

  async remove(keys: readonly string[]): Promise<void> {
    const inPlaceOf = keys.map((_id) => ({ q: { _id }, u: { removed_at: new Date() }, upsert: true }));
    await this.#db.command({ update: "beats", updates: inPlaceOf, ordered: false, writeConcern: FAST });
  }

  async findStill(since: string, limit: number): Promise<string[]> {
    const found = await this.#beats
      .find({ still: true, last_heartbeat_at: { $gte: new Date(since) } }, { projection: { _id: 1 } })
      .sort({ last_heartbeat_at: -1 })
      .limit(limit)
      .toArray();
    return found.map(({ _id }) => _id);
  }
}

function stored({ incarnation = 0, last_heartbeat_at, last_activity_at, heartbeat }: BeatDocument): StoredBeat {
  const times = {
    last_heartbeat_at: last_heartbeat_at.toISOString(),
    ...(last_activity_at === undefined ? {} : { last_activity_at: last_activity_at.toISOString() }),
  };
  return { incarnation, info: { ...times, ...heartbeat } };
}
