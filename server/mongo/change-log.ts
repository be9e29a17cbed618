import { mongo } from "mongoose";
import type { Entry, Head, Removal } from "../domain/records.ts";
import { newestRemovals } from "../domain/removals.ts";
import { within } from "../patience.ts";
import type { AppendOutcome, ChangeLog, EntrySpan, Logger } from "../ports.ts";
import { decodeEntry, type EntryDocument, encodeEntry } from "./codec.ts";
import { DURABLE, logKey, MAJORITY, MAX_SEQ } from "./database.ts";
import { inSlices } from "./in-slices.ts";

const DUPLICATE_KEY = 11_000;

/**
 * Longer than the commit deadline: by then the publishers were told "unknown", and the entry is sent again. Our own
 * bound: the driver's `timeoutMS` has no effect.
 */
const APPEND_TIMEOUT_MS = 4_700;

/** Entries that MongoDB sends at once, 16 MB at most. */
const RANGE_BATCH = 1_000;

/** Entries that are redacted in one command: some ten milliseconds of mongod's. */
const REDACT_BATCH = 500;

/** As in models.ts: the entries that touch a session. */
const SESSION_ENTRIES = { "_id.p": 1, "changes.session_id": 1, "_id.s": -1 } as const;

interface InsertReply {
  readonly ok: number;
  readonly writeErrors?: readonly { readonly index: number; readonly code: number; readonly errmsg?: string }[];
  readonly writeConcernError?: unknown;
}

/** The log in collection `log`: one document per commit, unique by `{p: project, s: from_seq}`. */
export class MongoChangeLog implements ChangeLog {
  readonly #db: mongo.Db;
  readonly #log: mongo.Collection<EntryDocument>;
  readonly #logger: Logger;

  constructor(db: mongo.Db, logger: Logger) {
    this.#db = db;
    this.#log = db.collection("log", { readConcern: MAJORITY, readPreference: "primary" });
    this.#logger = logger;
  }

  /**
   * The plain insert command, not the driver's insertMany: no retry of its own stands between the server's answer and
   * ours (an unknown outcome is the writer's to settle), and it costs a third of the CPU.
   */
  async append(entries: readonly Entry[]): Promise<readonly AppendOutcome[]> {
    try {
      const documents = entries.map(encodeEntry);
      const command = this.#db.command({ insert: "log", documents, ordered: false, writeConcern: DURABLE });
      const reply = (await within(APPEND_TIMEOUT_MS, command)) as unknown as InsertReply;
      return this.#outcomes(entries, reply);
    } catch (error) {
      if (error instanceof mongo.BSON.BSONError) {
        this.#logger.error({ err: error }, "an entry could not be encoded");
        return entries.map(() => "impossible");
      }
      this.#logger.warn({ err: error, entries: entries.length }, "append has no certain outcome");
      return entries.map(() => "unknown");
    }
  }

  #outcomes(entries: readonly Entry[], reply: InsertReply): AppendOutcome[] {
    const good: AppendOutcome = reply.ok === 1 && reply.writeConcernError === undefined ? "committed" : "unknown";
    const outcomes = entries.map((): AppendOutcome => good);
    for (const { index, code, errmsg } of reply.writeErrors ?? []) {
      if (code !== DUPLICATE_KEY) this.#logger.warn({ code, errmsg }, "append was answered with an error");
      outcomes[index] = code === DUPLICATE_KEY ? "taken" : "unknown";
    }
    return outcomes;
  }

  async readHead(projectId: string): Promise<Head | undefined> {
    const last = await this.#log.findOne(
      { _id: { $gte: logKey(projectId, 0), $lt: logKey(projectId, MAX_SEQ) } },
      { sort: { _id: -1 }, projection: { to_seq: 1, epoch: 1, at: 1 } },
    );
    return last === null ? undefined : { epoch: last.epoch, seq: last.to_seq, at: last.at.toISOString() };
  }

  async readAfter(projectId: string, seq: number, limit: number): Promise<Entry[]> {
    const documents = await this.#log.find(after(projectId, seq)).sort({ _id: 1 }).limit(limit).toArray();
    return documents.map(decodeEntry);
  }

  async readHolding(projectId: string, seq: number): Promise<Entry | undefined> {
    const document = await this.#log.findOne(
      { _id: { $gte: logKey(projectId, 0), $lte: logKey(projectId, seq) } },
      { sort: { _id: -1 } },
    );
    return document === null || document.to_seq < seq ? undefined : decodeEntry(document);
  }

  async readSpan(projectId: string, seq: number): Promise<EntrySpan | undefined> {
    const document = await this.#log.findOne(
      { _id: { $gte: logKey(projectId, 0), $lte: logKey(projectId, seq) } },
      { sort: { _id: -1 }, projection: { to_seq: 1, at: 1 } },
    );
    if (document === null || document.to_seq < seq) return undefined;
    return { from_seq: document._id.s, to_seq: document.to_seq, at: document.at.toISOString() };
  }

  async *readRange(projectId: string, after: number, to: number): AsyncIterable<readonly Entry[]> {
    const range = { _id: { $gt: logKey(projectId, after), $lte: logKey(projectId, to) } };
    yield* inSlices(this.#log.find(range, { batchSize: RANGE_BATCH }).sort({ _id: 1 }), decodeEntry);
  }

  async readAfterOfSessions(projectId: string, seq: number, sessionIds: readonly string[]): Promise<Entry[]> {
    const documents = await this.#log
      .find(
        {
          ...after(projectId, seq),
          $or: [{ "changes.session_id": { $in: [...sessionIds] } }, { _id: logKey(projectId, seq + 1) }],
        },
        // The entries after the mark are few; the key's range beats the index on sessions.
        { hint: { _id: 1 } },
      )
      .sort({ _id: 1 })
      .toArray();
    return documents.map(decodeEntry);
  }

  async deleteBefore(projectId: string, seq: number): Promise<void> {
    const range = { _id: { $gte: logKey(projectId, 0), $lt: logKey(projectId, seq) } };
    await this.#log.deleteMany(range, { writeConcern: DURABLE });
  }

  async readRemovals(projectId: string, sessionIds: readonly string[]): Promise<Removal[]> {
    const removed = { $elemMatch: { session_id: { $in: [...sessionIds] }, type: "removed" as const } };
    const found = await this.#log
      .find({ "_id.p": projectId, changes: removed }, { hint: SESSION_ENTRIES })
      .sort({ _id: 1 })
      .toArray();
    return newestRemovals(found.map(decodeEntry), sessionIds);
  }

  async redact(projectId: string, sessionIds: readonly string[], seq: number): Promise<number> {
    const theirs = { session_id: { $in: [...sessionIds] }, type: { $ne: "removed" } };
    const found = await this.#log
      .find(
        { "_id.p": projectId, "_id.s": { $lt: seq }, changes: { $elemMatch: theirs } },
        { projection: { _id: 1 }, hint: SESSION_ENTRIES },
      )
      .limit(REDACT_BATCH)
      .toArray();
    if (found.length === 0) return 0;
    const isTheirs = { $in: ["$$this.session_id", { $literal: [...sessionIds] }] };
    const kept = { $or: [{ $not: [isTheirs] }, { $eq: ["$$this.type", "removed"] }] };
    await this.#log.updateMany(
      { _id: { $in: found.map(({ _id }) => _id) } },
      [{ $set: { changes: { $filter: { input: "$changes", cond: kept } } } }],
      { writeConcern: DURABLE },
    );
    return found.length;
  }

  async findAhead(heads: readonly { readonly projectId: string; readonly seq: number }[]): Promise<string[]> {
    const documents = await this.#log
      .find(
        {
          $or: heads.map(({ projectId, seq }) => ({
            _id: { $gt: logKey(projectId, seq), $lt: logKey(projectId, MAX_SEQ) },
          })),
        },
        { projection: { _id: 1 } },
      )
      .limit(1_000)
      .toArray();
    return [...new Set(documents.map((document) => document._id.p))];
  }

  /** One seek per project over the key, whatever the length of its log. */
  async *projectIds(): AsyncIterable<string> {
    let last: string | undefined;
    for (;;) {
      const filter = last === undefined ? {} : { _id: { $gt: logKey(last, MAX_SEQ) } };
      const query = this.#log.findOne(filter, { sort: { _id: 1 }, projection: { _id: 1 } });
      const next: EntryDocument | null = await within(APPEND_TIMEOUT_MS, query);
      if (next === null) return;
      last = next._id.p;
      yield last;
    }
  }
}

function after(projectId: string, seq: number) {
  return { _id: { $gt: logKey(projectId, seq), $lt: logKey(projectId, MAX_SEQ) } };
}
