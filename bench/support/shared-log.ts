import { setTimeout as sleep } from "node:timers/promises";
import mongoose from "mongoose";
import type { EntryDocument } from "../../server/mongo/codec.ts";
import { LogCheck } from "../../test/support/log-check.ts";
import type { AckedOps } from "./paced-agents.ts";
import type { RunningMongod } from "./processes.ts";

export interface Appends {
  /** Entries that are in the log, and attempts that found their place taken. */
  readonly entries: number;
  readonly lostRaces: number;
}

/** Counts what is appended between `warmupMs` and `warmupMs + windowMs` from now. Asks mongod, not the hubs. */
export async function countAppends(
  mongod: RunningMongod,
  database: string,
  { warmupMs, windowMs }: { readonly warmupMs: number; readonly windowMs: number },
): Promise<Appends> {
  const client = new mongoose.mongo.MongoClient(mongod.uri(database), { maxPoolSize: 1 });
  try {
    await sleep(warmupMs);
    const before = await look(client);
    await sleep(windowMs);
    const after = await look(client);
    const entries = after.entries - before.entries;
    // What is under way at the two looks counts in one of the numbers alone.
    return { entries, lostRaces: Math.max(0, after.attempts - before.attempts - entries) };
  } finally {
    await client.close();
  }
}

/** mongod counts an insert when it is tried; nothing else is inserted while the load runs. */
async function look(client: mongoose.mongo.MongoClient): Promise<{ attempts: number; entries: number }> {
  const { opcounters } = await client.db().command({ serverStatus: 1 });
  const entries = await client.db().collection("log").estimatedDocumentCount();
  return { attempts: Number(opcounters.insert), entries };
}

/** What is wrong with the log of a database that several hubs wrote: nothing, or what was found. */
export async function checkSharedLog(
  mongod: RunningMongod,
  database: string,
  acked: readonly AckedOps[],
): Promise<readonly string[]> {
  const client = new mongoose.mongo.MongoClient(mongod.uri(database), { maxPoolSize: 1 });
  try {
    const check = new LogCheck();
    const log = client.db().collection<EntryDocument>("log").find().sort({ _id: 1 });
    for await (const entry of log) check.add(entry);
    for (const { projectId, sessionId, ackedOps, incarnation } of acked) {
      check.acked(projectId, sessionId, ackedOps, incarnation);
    }
    return check.failures;
  } finally {
    await client.close();
  }
}
