import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { readConfig } from "../server/config.ts";
import { startHub } from "../server/hub.ts";
import { createLogger } from "../server/observability/logger.ts";
import type { operations } from "./support/large-project-clients.ts";
import { BENCH_KEY, startMongod } from "./support/processes.ts";
import { publishReport, round, type Verdict } from "./support/report.ts";
import { readSettings } from "./support/settings.ts";
import { median } from "./support/statistics.ts";
import { watchCpu } from "./support/watch-cpu.ts";
import { Worker } from "./support/worker.ts";

const settings = readSettings({ pairs: 3, seconds: 1, warmupSeconds: 1 }, { sessions: [10_000], viewers: [1, 20] });
let [sessions = 10_000] = settings.sessions;

const JOIN_MS = 500;
const STALL_MS = 50;
const PROJECT = "large";

interface Run {
  readonly joinMs: number;
  readonly allPagesMs: number;
  /** Longest time between two looks at the clock, what other processes took included. */
  readonly stallMs: number;
  /** Longest time of this process' own CPU between two looks: what a stall comes to when nobody else is working. */
  readonly stallCpuMs: number;
  readonly isWhole: boolean;
}

// In this process, so that its event loop can be watched; the clients have their own.
const mongod = await startMongod();
const config = readConfig({ PORT: "0", API_KEYS: BENCH_KEY, LOG_LEVEL: "silent", MONGODB_URI: mongod.uri("large") });
const hub = await startHub({
  config,
  mongodbUri: mongod.uri("large"),
  keys: [BENCH_KEY],
  log: createLogger("silent", { isTerminal: false }),
  onEnd: () => {},
});
const url = `ws://127.0.0.1:${hub.port}`;
const agents = new Worker<typeof operations>(new URL("./support/large-project-clients.ts", import.meta.url));
const watching = new Worker<typeof operations>(new URL("./support/large-project-clients.ts", import.meta.url));
await agents.call("fill", { url, projectId: PROJECT, from: 0, sessions });

const runs: Record<string, Run[]> = {};
for (const viewers of settings.viewers) {
  await run(viewers);
  runs[`${viewers} at once`] = [];
  for (let pair = 0; pair < settings.pairs; pair++) runs[`${viewers} at once`]?.push(await run(viewers));
}

/** Each builds the snapshot anew: the project has changed since the last one. */
async function run(viewers: number): Promise<Run> {
  await agents.call("fill", { url, projectId: PROJECT, from: sessions, sessions: 1 });
  sessions += 1;
  await sleep(settings.warmupSeconds * 1_000);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const cpu = watchCpu();
  const fetched = await watching.call("fetchAll", { url, projectId: PROJECT, viewers });
  await sleep(100);
  delay.disable();
  // The histogram counts the time from look to look, its own millisecond included.
  const stallMs = delay.max / 1e6 - 1;
  const isWhole = fetched.sessions.every((count) => count === sessions);
  return { ...fetched, stallMs, stallCpuMs: cpu.stop(), isWhole };
}

const rows: (string | number)[][] = [];
const verdicts: Verdict[] = [];
for (const [name, results] of Object.entries(runs)) {
  const middle = (value: (result: Run) => number) => round(median(results.map(value)));
  const [joinMs, stallMs] = [middle((result) => result.joinMs), middle((result) => result.stallMs)];
  rows.push([
    name,
    joinMs,
    middle((result) => result.allPagesMs),
    stallMs,
    middle((result) => result.stallCpuMs),
    round(Math.max(...results.map((result) => result.stallMs))),
  ]);
  verdicts.push(
    { claim: `${name}: join answered`, target: `${JOIN_MS} ms`, measured: `${joinMs} ms`, isMet: joinMs <= JOIN_MS },
    {
      claim: `${name}: longest stall of the hub`,
      target: `${STALL_MS} ms`,
      measured: `${stallMs} ms`,
      isMet: stallMs <= STALL_MS,
    },
    {
      claim: `${name}: every viewer got every session`,
      target: "all",
      measured: results.every((result) => result.isWhole) ? "all" : "not all",
      isMet: results.every((result) => result.isWhole),
    },
  );
}

const { out, seconds: _, ...shown } = settings;
publishReport(
  {
    name: "large-project",
    question:
      "How long does a viewer wait for a project of many live sessions, and how long does the hub stand still for it?",
    mongodVersion: mongod.version,
    settings: shown,
    tables: [
      {
        title: "Median of the runs; of several viewers the slowest",
        columns: ["viewers", "join ms", "all pages ms", "longest stall ms", "of it own CPU", "worst run's stall"],
        rows,
      },
    ],
    verdicts,
    runs,
  },
  out,
);
await watching.stop();
await agents.stop();
await hub.stop();
await mongod.stop();
process.exit(verdicts.every((verdict) => verdict.isMet) ? 0 : 1);
