import mongoose from "mongoose";
import { until } from "../support/processes.ts";
import type { Fields, History, LogEntry } from "./check-history.ts";
import type { Crowd } from "./crowd.ts";

const LEVEL_DEADLINE_MS = 30_000;

/**
 * Waits until viewers and documents have come up to the log, then reads everything. What does not come level in time is
 * no error here: the checker says what is missing.
 */
export async function collect(crowd: Crowd, uri: string): Promise<History> {
  const client = new mongoose.mongo.MongoClient(uri, { readConcern: { level: "majority" } });
  const db = client.db();
  try {
    const heads = headsOf(await db.collection<LogEntry>("log").find().toArray());
    crowd.latecomers();
    if (!(await crowd.isLevel(heads))) crowd.ledger.anomalies.push("viewers do not come level");
    await documentsLevel(db, heads).catch((error: Error) => crowd.ledger.anomalies.push(error.message));
    const documents = await Promise.all(["sessions", "tasks"].map((name) => db.collection(name).find().toArray()));
    return {
      entries: await db.collection<LogEntry>("log").find().toArray(),
      publishes: crowd.ledger.publishes,
      documents: documents.flat(),
      viewers: crowd.viewers.map((viewer) => viewer.record),
    };
  } finally {
    await client.close();
  }
}

function headsOf(entries: readonly LogEntry[]): Map<string, number> {
  const heads = new Map<string, number>();
  for (const { _id, to_seq } of entries) heads.set(_id.p, Math.max(heads.get(_id.p) ?? 0, to_seq));
  return heads;
}

function documentsLevel(db: mongoose.mongo.Db, heads: ReadonlyMap<string, number>): Promise<void> {
  return until(
    "documents are level",
    async () => {
      const marks = await db.collection<Fields & { _id: string }>("projects").find().toArray();
      return marks.every((mark) => Number(mark.projected_seq) >= (heads.get(mark._id) ?? 0));
    },
    LEVEL_DEADLINE_MS,
  );
}
