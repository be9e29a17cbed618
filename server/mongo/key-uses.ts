import type { mongo } from "mongoose";
import type { KeyUse, KeyUses } from "../ports.ts";
import { FAST } from "./database.ts";

interface UsesDocument {
  _id: string;
  at: Date;
  uses: { key_id: string; connections: number; last_used_at?: Date }[];
}

/** Ids of managed keys; of others nothing is kept when the hub is gone. */
const MANAGED = /^key-/;
/** A hub that was killed leaves its document behind. */
const FORGOTTEN_MS = 60 * 60_000;

/** Collection `key_uses`: one document per hub process. */
export class MongoKeyUses implements KeyUses {
  readonly #db: mongo.Db;
  readonly #uses: mongo.Collection<UsesDocument>;

  constructor(db: mongo.Db) {
    this.#db = db;
    this.#uses = db.collection("key_uses", {
      readPreference: "primary",
      readConcern: { level: "local" },
      writeConcern: FAST,
    });
  }

  async write(hubId: string, at: string, uses: readonly KeyUse[]): Promise<void> {
    const now = new Date(at);
    await this.#uses.replaceOne({ _id: hubId }, { at: now, uses: uses.map(encode) }, { upsert: true });
    await this.#uses.deleteMany({ at: { $lt: new Date(now.getTime() - FORGOTTEN_MS) } });
    const updates = uses.flatMap(({ keyId, lastUsedAt }) =>
      MANAGED.test(keyId) && lastUsedAt !== undefined
        ? [{ q: { _id: keyId }, u: { $max: { last_used_at: new Date(lastUsedAt) } } }]
        : [],
    );
    if (updates.length > 0) await this.#db.command({ update: "keys", updates, ordered: false, writeConcern: FAST });
  }

  async read(since: string): Promise<Map<string, KeyUse[]>> {
    const found = await this.#uses.find({ at: { $gte: new Date(since) } }).toArray();
    return new Map(found.map(({ _id, uses }) => [_id, uses.map(decode)]));
  }

  async remove(hubId: string): Promise<void> {
    await this.#uses.deleteOne({ _id: hubId });
  }
}

function encode({ keyId, connections, lastUsedAt }: KeyUse): UsesDocument["uses"][number] {
  return {
    key_id: keyId,
    connections,
    ...(lastUsedAt === undefined ? {} : { last_used_at: new Date(lastUsedAt) }),
  };
}

function decode({ key_id, connections, last_used_at }: UsesDocument["uses"][number]): KeyUse {
  return { keyId: key_id, connections, lastUsedAt: last_used_at?.toISOString() };
}
