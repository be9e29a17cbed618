import type { mongo } from "mongoose";
import type { Role } from "../domain/access.ts";
import type { KeyRecord, KeyStore } from "../ports.ts";
import { DURABLE, MAJORITY } from "./database.ts";

interface KeyDocument {
  _id: string;
  digest: string;
  name?: string;
  role: Role;
  projects: string[];
  prefix: string;
  created_at: Date;
  expires_at?: Date;
  revoked_at?: Date;
  last_used_at?: Date;
  replaced_by?: string;
}

/** Collection `keys`: managed keys, as digests. */
export class MongoKeys implements KeyStore {
  readonly #keys: mongo.Collection<KeyDocument>;

  constructor(db: mongo.Db) {
    this.#keys = db.collection("keys", {
      readPreference: "primary",
      readConcern: MAJORITY,
      writeConcern: DURABLE,
    });
  }

  async add(record: KeyRecord): Promise<void> {
    await this.#keys.insertOne(encode(record));
  }

  async find(id: string): Promise<KeyRecord | undefined> {
    return decode(await this.#keys.findOne({ _id: id }));
  }

  async readLiving(at: string, limit: number): Promise<KeyRecord[]> {
    const living = { revoked_at: { $exists: false }, $nor: [{ expires_at: { $lte: new Date(at) } }] };
    return this.#read(living, limit);
  }

  list(limit: number): Promise<KeyRecord[]> {
    return this.#read({}, limit);
  }

  async revoke(id: string, at: string): Promise<KeyRecord | undefined> {
    await this.#keys.updateOne({ _id: id, revoked_at: { $exists: false } }, { $set: { revoked_at: new Date(at) } });
    return this.find(id);
  }

  async replace(id: string, by: string, expiresAt: string): Promise<KeyRecord | undefined> {
    const update = { $set: { replaced_by: by }, $min: { expires_at: new Date(expiresAt) } };
    return decode(await this.#keys.findOneAndUpdate({ _id: id }, update, { returnDocument: "after" }));
  }

  async forgetEnded(before: string): Promise<void> {
    const time = new Date(before);
    await this.#keys.deleteMany({ $or: [{ revoked_at: { $lt: time } }, { expires_at: { $lt: time } }] });
  }

  async #read(filter: mongo.Filter<KeyDocument>, limit: number): Promise<KeyRecord[]> {
    const found = await this.#keys.find(filter).sort({ created_at: -1, _id: 1 }).limit(limit).toArray();
    return found.map((document) => decode(document)).filter((record) => record !== undefined);
  }
}

const TIMES = ["created_at", "expires_at", "revoked_at", "last_used_at"] as const;

function encode({ id, ...record }: KeyRecord): KeyDocument {
  const document: Record<string, unknown> = { _id: id, ...record };
  for (const field of TIMES) if (record[field] !== undefined) document[field] = new Date(record[field]);
  return document as unknown as KeyDocument;
}

function decode(document: KeyDocument | null): KeyRecord | undefined {
  if (document === null) return undefined;
  const { _id, ...fields } = document;
  const record: Record<string, unknown> = { id: _id, ...fields };
  for (const field of TIMES) if (document[field] !== undefined) record[field] = document[field].toISOString();
  return record as unknown as KeyRecord;
}
