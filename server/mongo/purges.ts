import type { mongo } from "mongoose";
import type { PurgeRecord, PurgeStore } from "../ports.ts";
import { DURABLE, MAJORITY } from "./database.ts";

const TIMES = ["requested_at", "moved_at", "finished_at", "ended_before"] as const;
type Time = (typeof TIMES)[number];

type PurgeDocument = Omit<PurgeRecord, "id" | Time> & { _id: string } & { [T in Time]?: Date };

/** Collection `purges`: what is being forgotten, and what was. */
export class MongoPurges implements PurgeStore {
  readonly #purges: mongo.Collection<PurgeDocument>;

  constructor(db: mongo.Db) {
    this.#purges = db.collection("purges", { readPreference: "primary", readConcern: MAJORITY, writeConcern: DURABLE });
  }

  async put(record: PurgeRecord): Promise<void> {
    const { _id, ...document } = encode(record);
    await this.#purges.replaceOne({ _id }, document, { upsert: true });
  }

  async find(id: string): Promise<PurgeRecord | undefined> {
    const found = await this.#purges.findOne({ _id: id });
    return found === null ? undefined : decode(found);
  }

  /** There are few: what is open, and what was done in the last weeks. */
  async readOpen(movedBefore: string, limit: number): Promise<PurgeRecord[]> {
    const open = { finished_at: { $exists: false }, moved_at: { $lt: new Date(movedBefore) } };
    return (await this.#purges.find(open).limit(limit).toArray()).map(decode);
  }

  async drop(id: string): Promise<void> {
    await this.#purges.deleteOne({ _id: id });
  }

  async forgetFinished(before: string): Promise<void> {
    await this.#purges.deleteMany({ finished_at: { $lt: new Date(before) } });
  }
}

function encode({ id, ...record }: PurgeRecord): PurgeDocument {
  const document: Record<string, unknown> = { _id: id, ...record };
  for (const field of TIMES) if (record[field] !== undefined) document[field] = new Date(record[field]);
  return document as unknown as PurgeDocument;
}

function decode({ _id, ...document }: PurgeDocument): PurgeRecord {
  const record: Record<string, unknown> = { id: _id, ...document };
  for (const field of TIMES) if (document[field] !== undefined) record[field] = document[field].toISOString();
  return record as unknown as PurgeRecord;
}
