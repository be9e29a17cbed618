import type { operations, PacedResult } from "./support/paced-agents.ts";
import { type RunningServer, startHub, startMongod } from "./support/processes.ts";
import { startRedis } from "./support/redis.ts";
import { publishReport, round, type Verdict } from "./support/report.ts";
import { readSettings } from "./support/settings.ts";
import { type Appends, checkSharedLog, countAppends } from "./support/shared-log.ts";
import { median } from "./support/statistics.ts";
import { Worker } from "./support/worker.ts";

const settings = readSettings(
  { pairs: 1, seconds: 8, warmupSeconds: 4 },
  { hubs: [1, 2, 4, 8], projects: [1, 1_000], rate: [500], agents: [200] },
);
const [rate = 500] = settings.rate;
const [agentsAtLeast = 200] = settings.agents;

/** What is promised of so many hubs on one hot project at the default rate. */
const PROMISED = { hubs: 4, projects: 1, rate: 500, ackP99Ms: 200 };

interface Run extends PacedResult {
  readonly appends: Appends;
  readonly failures: readonly string[];
}

interface Load {
  readonly hubs: number;
  readonly projects: number;
  /** Changes a second; 0 for as many as are acked. */
  readonly rate: number;
}

const mongod = await startMongod();
const redis = await startRedis();
const rows: (string | number)[][] = [];
const verdicts: Verdict[] = [];
const runs: Record<string, Run[]> = {};

for (const projects of settings.projects) {
  for (const hubs of settings.hubs) {
    for (const offered of [rate, 0]) {
      const load = { hubs, projects, rate: offered };
      const results: Run[] = [];
      for (let index = 0; index < settings.pairs; index += 1) results.push(await run(load, index));
      runs[`${hubs} hubs, ${projects} projects, ${nameRate(offered)}`] = results;
      report(load, results);
    }
  }
}

async function run({ hubs, projects, rate }: Load, index: number): Promise<Run> {
  const database = `hubs-${hubs}-${projects}-${rate}-${index}`;
  const window = { warmupMs: settings.warmupSeconds * 1_000, windowMs: settings.seconds * 1_000 };
  const env = { REDIS_URL: redis.url, REDIS_PREFIX: database };
  const servers: RunningServer[] = [];
  const load = new Worker<typeof operations>(new URL("./support/paced-agents.ts", import.meta.url));
  try {
    while (servers.length < hubs) servers.push(await startHub({ mongodbUri: mongod.uri(database), env }));
    // Two hubs at least write each project.
    const agents = Math.max(agentsAtLeast, projects * Math.min(hubs, 2));
    await load.call("open", { urls: servers.map(({ url }) => url), agents, projects, prefix: database });
    const pids = Object.fromEntries(servers.map(({ pid }, hub) => [`hub ${hub}`, pid]));
    const [paced, appends] = await Promise.all([
      load.call("measure", { ...window, rate, pids: { ...pids, mongod: mongod.pid, redis: redis.pid } }),
      countAppends(mongod, database, window),
    ]);
    const failures = await checkSharedLog(mongod, database, await load.call("acked", null));
    const result = { ...paced, appends, failures };
    console.error(
      `${hubs} hubs, ${projects} projects, ${nameRate(rate)}: ${Math.round(result.acksPerSecond)}/s, p50 ${round(result.latencyMs.p50)}, ` +
        `p99 ${result.hubs.map(({ p99 }) => Math.round(p99)).join(" ")} ms, ${appends.entries} entries, ${appends.lostRaces} lost` +
        `${failures.length === 0 ? "" : `, ${failures[0]}`}`,
    );
    return result;
  } finally {
    await load.stop();
    await Promise.all(servers.map((server) => server.stop()));
  }
}

function nameRate(offered: number): string {
  return offered === 0 ? "as many as are acked" : `${offered}/s`;
}

function report({ hubs, projects, rate }: Load, results: readonly Run[]): void {
  const middle = (value: (result: Run) => number) => median(results.map(value));
  const core = ({ use }: Run, isMeant: (name: string) => boolean) =>
    Object.entries(use.cpu).reduce((sum, [name, cpu]) => sum + (isMeant(name) ? (cpu / use.seconds) * 100 : 0), 0);
  const cores = (prefix: string) => round(middle((result) => core(result, (name) => name.startsWith(prefix))));
  const worst = (result: Run) => Math.max(...result.hubs.map(({ p99 }) => p99));
  const failures = results.flatMap((result) => result.failures);
  rows.push([
    ...[hubs, projects, nameRate(rate), round(middle(({ acksPerSecond }) => acksPerSecond))],
    round(middle(({ latencyMs }) => latencyMs.p50)),
    round(middle(({ latencyMs }) => latencyMs.p99)),
    round(middle(worst)),
    round(middle(({ appends, use }) => appends.entries / use.seconds)),
    round(middle(({ appends }) => appends.lostRaces / Math.max(1, appends.entries))),
    ...[cores("hub"), cores("mongod"), cores("redis"), cores("load"), round(middle(({ use }) => use.otherCores * 100))],
    errorCell(results),
  ]);
  const claim = `${hubs} hubs, ${projects} ${projects === 1 ? "project" : "projects"}, ${nameRate(rate)}`;
  verdicts.push({
    claim: `${claim}: log whole, each acked op once`,
    target: "0 failures",
    measured: failures.length === 0 ? "0" : `${failures.length}: ${failures[0]}`,
    isMet: failures.length === 0,
  });
  if (hubs !== PROMISED.hubs || projects !== PROMISED.projects || rate !== PROMISED.rate) return;
  verdicts.push({
    claim: `${claim}: ack p99 on the slowest hub`,
    target: `≤ ${PROMISED.ackP99Ms} ms`,
    measured: `${round(middle(worst))} ms`,
    isMet: middle(worst) <= PROMISED.ackP99Ms,
  });
}

function errorCell(results: readonly Run[]): string {
  const total: Record<string, number> = {};
  for (const { errors } of results)
    for (const [code, count] of Object.entries(errors)) total[code] = (total[code] ?? 0) + count;
  return (
    Object.entries(total)
      .map(([code, count]) => `${code} ${count}`)
      .join(", ") || "0"
  );
}

const { out, ...shown } = settings;
publishReport(
  {
    name: "hubs",
    question:
      "What do several hubs that write the same projects cost each other: one hot project, and many projects whose " +
      "agents are spread over all hubs; at a fixed rate, and at as much as they take?",
    mongodVersion: mongod.version,
    settings: { ...shown, redis: "one" },
    tables: [
      {
        title: "Median of the runs (% of a core; all on one machine)",
        columns: [
          ...["hubs", "projects", "offered", "changes/s", "ack p50 ms", "ack p99 ms", "p99 of the slowest hub"],
          ...["entries/s", "lost races/entry"],
          ...["hubs % core", "mongod % core", "redis % core", "load % core", "others % core", "errors"],
        ],
        rows,
      },
    ],
    verdicts,
    runs,
  },
  out,
);
await redis.kill();
await mongod.stop();
process.exit(verdicts.every((verdict) => verdict.isMet) ? 0 : 1);
