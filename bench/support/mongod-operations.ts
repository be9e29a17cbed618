import mongoose from "mongoose";
import type { RunningMongod } from "./processes.ts";

/** What mongod has been asked to do since it started, by the names of its own counters. */
export type OperationCounts = Readonly<Record<string, number>>;

/** Commands that our own counting sends; everything else came from the process under test. */
const OWN = new Set(["serverStatus", "hello", "isMaster"]);

/**
 * Rows written and read (`rows.*`, each document of a bulk counts) and commands by name (`command.*`), from
 * serverStatus. Commands of the driver's own monitoring are left out.
 */
export async function countOperations(mongod: RunningMongod): Promise<OperationCounts> {
  const client = new mongoose.mongo.MongoClient(mongod.uri("admin"), { maxPoolSize: 1, monitorCommands: false });
  try {
    const status = await client.db().command({ serverStatus: 1, repl: 0, wiredTiger: 0 });
    const counts: Record<string, number> = {};
    for (const kind of ["insert", "query", "update", "delete", "getmore"])
      counts[`rows.${kind}`] = Number(status.opcounters[kind]);
    for (const [name, { total }] of Object.entries<{ total?: unknown }>(status.metrics.commands))
      if (total !== undefined && !OWN.has(name)) counts[`command.${name}`] = Number(total);
    return counts;
  } finally {
    await client.close();
  }
}

/** The counters that moved, and by how much. */
export function countedBetween(before: OperationCounts, after: OperationCounts): OperationCounts {
  const moved = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
  return Object.fromEntries(moved.filter(([, count]) => count !== 0));
}

export const WRITE_COUNTERS = ["rows.insert", "rows.update", "rows.delete"] as const;
