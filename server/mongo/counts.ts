import type { mongo } from "mongoose";
import { type Standing, standingOf } from "../domain/standing.ts";
import type { CountStore, ProjectCount } from "../ports.ts";
import type { SessionDocument } from "./codec.ts";
import { FAST } from "./database.ts";

interface CountDocument {
  _id: string;
  epoch: string;
  seq: number;
  counts: Record<string, number>;
}

/** Of an index of `sessions`; which one does not matter. */
const OF_PROJECT = { project_id: 1, status: 1, created_at: -1, _id: -1 } as const;

/** Collection `counts`: how many sessions of a project stood where at some seq. */
export class MongoCounts implements CountStore {
  readonly #counts: mongo.Collection<CountDocument>;
  readonly #sessions: mongo.Collection<SessionDocument>;

  constructor(db: mongo.Db) {
    const options = { readConcern: { level: "local" }, readPreference: "primary" } as const;
    this.#counts = db.collection("counts", options);
    this.#sessions = db.collection("sessions", options);
  }

  async read(projectIds: readonly string[]): Promise<Map<string, ProjectCount>> {
    const found = await this.#counts.find({ _id: { $in: [...projectIds] } }).toArray();
    return new Map(
      found.map(({ _id, epoch, seq, counts }) => [_id, { epoch, seq, counts: new Map(Object.entries(counts)) }]),
    );
  }

  /** Of one epoch only forward: counts of a later seq save more reading. */
  async write(counts: ReadonlyMap<string, ProjectCount>): Promise<void> {
    if (counts.size === 0) return;
    const updates = [...counts].map(([_id, { epoch, seq, counts: byStanding }]) => {
      const document = { _id, epoch, seq, counts: Object.fromEntries(byStanding) };
      const isBehind = { $or: [{ $ne: ["$epoch", epoch] }, { $lt: ["$seq", seq] }] };
      const update = [{ $replaceWith: { $cond: [isBehind, { $literal: document }, "$$ROOT"] } }];
      return { updateOne: { filter: { _id }, update, upsert: true } };
    });
    await this.#counts.bulkWrite(updates, { ordered: false, writeConcern: FAST });
  }

  async *standings(projectId: string): AsyncIterable<{ sessionId: string; standing: Standing; seq: number }> {
    const projection = { session_id: 1, status: 1, liveness: 1, seq: 1 } as const;
    const found = this.#sessions.find({ project_id: projectId }, { projection, hint: OF_PROJECT, batchSize: 1_000 });
    for await (const document of found) {
      yield { sessionId: document.session_id, standing: standingOf(document), seq: document.seq };
    }
  }
}
