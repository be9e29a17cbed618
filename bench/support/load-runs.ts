import type { DriverName } from "./drivers.ts";
import type { AgentsResult, operations as loadOperations } from "./load-agents.ts";
import { type HubOptions, type RunningMongod, startBaseline, startHub } from "./processes.ts";
import { Worker } from "./worker.ts";

export interface LoadRun {
  readonly mongod: RunningMongod;
  /** Name of a database that nobody has used yet. */
  readonly database: string;
  readonly agents: number;
  readonly projects: number;
  readonly warmupMs: number;
  readonly windowMs: number;
}

/** One side of a pair: a fresh process of the hub on a fresh database, loaded, measured, stopped. */
export async function runUnderLoad(
  driver: DriverName & ("state-hub" | "baseline"),
  run: LoadRun,
): Promise<AgentsResult> {
  const start: (options: HubOptions) => ReturnType<typeof startHub> = driver === "baseline" ? startBaseline : startHub;
  const { mongod, database, agents, projects, warmupMs, windowMs } = run;
  const hub = await start({ mongodbUri: mongod.uri(database) });
  const load = new Worker<typeof loadOperations>(new URL("./load-agents.ts", import.meta.url));
  try {
    await load.call("open", { driver, url: hub.url, agents, projects, prefix: database });
    return await load.call("measure", { warmupMs, windowMs, pids: { hub: hub.pid, mongod: mongod.pid } });
  } finally {
    await load.stop();
    await hub.stop();
  }
}

/** CPU of the hub for one acked change, in microseconds. */
export function hubMicrosecondsPerChange({ use, acks }: AgentsResult): number {
  return acks === 0 ? Number.POSITIVE_INFINITY : ((use.cpu.hub ?? 0) / acks) * 1e6;
}

/** What a run cost in errors, as a short cell of a table. */
export function errorCell(results: readonly AgentsResult[]): string {
  const total: Record<string, number> = {};
  for (const { errors } of results)
    for (const [code, count] of Object.entries(errors)) total[code] = (total[code] ?? 0) + count;
  const parts = Object.entries(total).map(([code, count]) => `${code} ${count}`);
  return parts.length === 0 ? "0" : parts.join(", ");
}
