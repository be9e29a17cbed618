import { setTimeout as sleep } from "node:timers/promises";
import mongoose from "mongoose";
import type { RunningMongod } from "./processes.ts";

/** Operations since mongod started, by collection and kind; each row of a bulk write counts. */
type OperationCounts = ReadonlyMap<string, number>;

export interface WatchedOperations {
  /** Operations in the time watched, as `collection kind`. */
  readonly counts: Readonly<Record<string, number>>;
  /** How often `beats` was written in one go, and how many rows each time. */
  readonly writeBacks: readonly number[];
  /** Update commands of the whole mongod, whatever number of rows each carries. */
  readonly updateCommands: number;
}

export const BEATS = "beats";
const KINDS = ["queries", "getmore", "insert", "update", "remove", "commands"] as const;
/** Far shorter than the time between two write-backs, far longer than one takes. */
const LOOK_EVERY_MS = 250;

/** Watches what is done in one database for as long as `running` takes. mongod's own `top` is asked, not the hub. */
export async function watchOperations<T>(
  mongod: RunningMongod,
  database: string,
  running: Promise<T>,
): Promise<{ result: T; operations: WatchedOperations }> {
  const client = new mongoose.mongo.MongoClient(mongod.uri("admin"), { maxPoolSize: 1 });
  try {
    const before = await countOperations(client, database);
    const updatesBefore = await countUpdateCommands(client);
    const writeBacks: number[] = [];
    let beats = rowsOf(before, BEATS);
    let isWriting = false;
    let isDone = false;
    const done = () => {
      isDone = true;
    };
    running.then(done, done);
    while (!isDone) {
      await sleep(LOOK_EVERY_MS);
      const now = rowsOf(await countOperations(client, database), BEATS);
      const rows = now - beats;
      beats = now;
      // Rows in two looks running are one write-back that one look fell into.
      if (rows > 0 && isWriting) writeBacks.push((writeBacks.pop() ?? 0) + rows);
      else if (rows > 0) writeBacks.push(rows);
      isWriting = rows > 0;
    }
    const after = await countOperations(client, database);
    const moved = [...after].map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const);
    const counts = Object.fromEntries(moved.filter(([, count]) => count > 0));
    const updateCommands = (await countUpdateCommands(client)) - updatesBefore;
    return { result: await running, operations: { counts, writeBacks, updateCommands } };
  } finally {
    await client.close();
  }
}

async function countOperations(client: mongoose.mongo.MongoClient, database: string): Promise<OperationCounts> {
  const { totals } = await client.db().command({ top: 1 });
  const counts = new Map<string, number>();
  for (const [namespace, kinds] of Object.entries<Record<string, { count: number }>>(totals)) {
    if (!namespace.startsWith(`${database}.`)) continue;
    const collection = namespace.slice(database.length + 1);
    for (const kind of KINDS) counts.set(`${collection} ${kind}`, kinds[kind]?.count ?? 0);
  }
  return counts;
}

async function countUpdateCommands(client: mongoose.mongo.MongoClient): Promise<number> {
  const { metrics } = await client.db().command({ serverStatus: 1 });
  return Number(metrics.commands.update.total);
}

function rowsOf(counts: OperationCounts, collection: string): number {
  return [...counts].reduce((total, [name, count]) => total + (name.startsWith(`${collection} `) ? count : 0), 0);
}
