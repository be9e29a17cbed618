import type { mongo } from "mongoose";
import type { EntryOutline, Inspection, ServerFacts } from "../doctor/ports.ts";
import type { EntryDocument } from "./codec.ts";
import { logKey, MAJORITY, MAX_SEQ } from "./database.ts";
import type { Models } from "./models.ts";

interface Hello {
  readonly setName?: string;
  readonly msg?: string;
  readonly hosts?: readonly string[];
  readonly passives?: readonly string[];
  readonly arbiters?: readonly string[];
  readonly lastWrite?: { readonly lastWriteDate?: Date; readonly majorityWriteDate?: Date };
}

const ENTRIES_PER_READ = 20;

/** What the doctor asks of MongoDB; reads alone. */
export class MongoInspection implements Inspection {
  readonly #db: mongo.Db;
  readonly #models: Models;
  readonly #log: mongo.Collection<EntryDocument>;

  constructor(db: mongo.Db, models: Models) {
    this.#db = db;
    this.#models = models;
    this.#log = db.collection("log", { readConcern: MAJORITY, readPreference: "primary" });
  }

  async readServer(): Promise<ServerFacts> {
    const [hello, { version }] = (await Promise.all([
      this.#db.command({ hello: 1 }),
      this.#db.command({ buildInfo: 1 }),
    ])) as unknown as [Hello, { version: string }];
    const { lastWriteDate, majorityWriteDate } = hello.lastWrite ?? {};
    return {
      version,
      kind: hello.setName !== undefined ? "replica set" : hello.msg === "isdbgrid" ? "sharded cluster" : "standalone",
      members: (hello.hosts?.length ?? 0) + (hello.passives?.length ?? 0),
      arbiters: hello.arbiters?.length ?? 0,
      majorityLagMs:
        lastWriteDate === undefined || majorityWriteDate === undefined
          ? undefined
          : Math.max(0, lastWriteDate.getTime() - majorityWriteDate.getTime()),
    };
  }

  async findMissingIndexes(): Promise<string[]> {
    const missing: string[] = [];
    for (const model of Object.values(this.#models)) {
      const { toCreate } = await model.diffIndexes({ indexOptionsToCreate: true });
      for (const index of toCreate) {
        const [keys] = index as unknown as [object];
        missing.push(`${model.collection.collectionName} ${JSON.stringify(keys)}`);
      }
    }
    return missing;
  }

  async listProjectIds(afterId: string | undefined, limit: number): Promise<string[]> {
    const documents = await this.#db
      .collection<{ _id: string }>("projects", { readPreference: "primary" })
      .find(afterId === undefined ? {} : { _id: { $gt: afterId } }, { projection: { _id: 1 } })
      .sort({ _id: 1 })
      .limit(limit)
      .toArray();
    const logs: string[] = [];
    for (let last = afterId; logs.length < limit; ) {
      const filter = last === undefined ? {} : { _id: { $gt: logKey(last, MAX_SEQ) } };
      const next: EntryDocument | null = await this.#log.findOne(filter, { sort: { _id: 1 }, projection: { _id: 1 } });
      if (next === null) break;
      last = next._id.p;
      logs.push(last);
    }
    return [...new Set([...documents.map(({ _id }) => _id), ...logs])].sort().slice(0, limit);
  }

  async readOutlinesBack(projectId: string, beforeSeq: number | undefined, limit: number): Promise<EntryOutline[]> {
    const found = await this.#log
      .find(
        { _id: { $gte: logKey(projectId, 0), $lt: logKey(projectId, beforeSeq ?? MAX_SEQ) } },
        { projection: { to_seq: 1, epoch: 1 } },
      )
      .sort({ _id: -1 })
      .limit(limit)
      .toArray();
    return found.map(({ _id, to_seq, epoch }) => ({ from_seq: _id.s, to_seq, epoch }));
  }

  /** A few entries at a time: each may hold a thousand changes, and the last ones nearly always name enough sessions. */
  async findRecentSessions(projectId: string, entries: number, limit: number): Promise<string[]> {
    const ids = new Set<string>();
    let before = MAX_SEQ;
    for (let read = 0; read < entries && ids.size < limit; read += ENTRIES_PER_READ) {
      const found = await this.#log
        .aggregate<{ _id: EntryDocument["_id"]; ids: string[] }>([
          { $match: { _id: { $gte: logKey(projectId, 0), $lt: logKey(projectId, before) } } },
          { $sort: { _id: -1 } },
          { $limit: ENTRIES_PER_READ },
          { $project: { ids: { $setUnion: "$changes.session_id" } } },
        ])
        .toArray();
      for (const entry of found) for (const id of entry.ids) ids.add(id);
      before = found.at(-1)?._id.s ?? 0;
      if (found.length < ENTRIES_PER_READ) break;
    }
    return [...ids].slice(0, limit);
  }
}
