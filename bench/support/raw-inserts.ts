import { setTimeout as sleep } from "node:timers/promises";
import mongoose from "mongoose";
import { realisticMetadata } from "./drivers.ts";
import { type CpuUse, cpuBetween, sampleCpu } from "./process-usage.ts";
import { type Percentiles, percentiles } from "./statistics.ts";
import { serve } from "./worker.ts";

/**
 * The floor under any durable ack: concurrent closed loops of the driver's `insertOne`, majority and journaled, of a
 * document the size of one logged change. No hub, no mongoose model, no socket but MongoDB's own.
 */
export interface MeasureInserts {
  readonly uri: string;
  readonly concurrency: number;
  readonly warmupMs: number;
  readonly windowMs: number;
  readonly mongodPid: number;
}

export interface InsertsResult {
  readonly insertsPerSecond: number;
  readonly latencyMs: Percentiles;
  readonly use: CpuUse;
}

async function measure(settings: MeasureInserts): Promise<InsertsResult> {
  const { uri, concurrency, warmupMs, windowMs, mongodPid } = settings;
  const client = new mongoose.mongo.MongoClient(uri, {
    maxPoolSize: 50,
    minPoolSize: concurrency,
    writeConcern: { w: "majority", journal: true },
  });
  await client.connect();
  const collection = client.db().collection<{ _id: { p: string; s: number } }>("raw_inserts");
  await collection.createIndex({ "_id.p": 1, "changes.session_id": 1, "_id.s": -1 });
  let latencies: number[] = [];
  let isRunning = true;
  let seq = 0;
  const insertForever = async () => {
    while (isRunning) {
      seq += 1;
      const document = loggedChange(seq);
      const sentAt = performance.now();
      await collection.insertOne(document);
      latencies.push(performance.now() - sentAt);
    }
  };
  const loops = Array.from({ length: concurrency }, insertForever);
  await sleep(warmupMs);
  latencies = [];
  const before = sampleCpu({ mongod: mongodPid, load: process.pid });
  await sleep(windowMs);
  const use = cpuBetween(before, sampleCpu({ mongod: mongodPid, load: process.pid }));
  const measured = latencies;
  isRunning = false;
  await Promise.all(loops);
  await client.close();
  return { insertsPerSecond: measured.length / use.seconds, latencyMs: percentiles(measured), use };
}

function loggedChange(seq: number) {
  return {
    _id: { p: "raw", s: seq },
    to_seq: seq,
    epoch: "00000000000000ff",
    hub_id: "raw.inserts",
    at: new Date(),
    changes: [
      {
        ...{ seq, kind: "session", id: `session-${seq % 20}`, session_id: `session-${seq % 20}`, version: seq },
        ...{ type: "updated", patch: { metadata: realisticMetadata(seq) }, actor: { kind: "agent", id: "raw-agent" } },
        ...{ incarnation: 1, op: seq },
      },
    ],
  };
}

export const operations = { measure };
serve(operations);
