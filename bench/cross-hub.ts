import type { operations as agentOperations, PacedResult } from "./support/paced-agents.ts";
import { type RunningServer, startHub, startMongod } from "./support/processes.ts";
import { startRedis } from "./support/redis.ts";
import { publishReport, round, type Verdict } from "./support/report.ts";
import { readSettings } from "./support/settings.ts";
import { median } from "./support/statistics.ts";
import type { TimedResult, operations as viewerOperations } from "./support/timed-viewers.ts";
import { Worker } from "./support/worker.ts";

const settings = readSettings(
  { pairs: 2, seconds: 10, warmupSeconds: 8 },
  { hubs: [3], agents: [300], viewers: [150], rate: [300], projects: [30] },
);
const [hubs = 3] = settings.hubs;
const [agents = 300] = settings.agents;
const [viewers = 150] = settings.viewers;
const [rate = 300] = settings.rate;

/** Change to viewer on another hub, with Redis. */
const PROMISED = { p50Ms: 10, p99Ms: 80 };

interface Run {
  readonly agents: PacedResult;
  readonly viewers: TimedResult;
}

const mongod = await startMongod();
const redis = await startRedis();
const rows: (string | number)[][] = [];
const verdicts: Verdict[] = [];
const runs: Record<string, Run[]> = {};

for (const projects of settings.projects) {
  for (const hasRedis of [true, false]) {
    const results: Run[] = [];
    for (let index = 0; index < settings.pairs; index += 1) results.push(await run(projects, hasRedis, index));
    runs[`${projects} projects, ${hasRedis ? "Redis" : "the log alone"}`] = results;
    report(projects, hasRedis, results);
  }
}

/** All agents on the first hub, viewers on all of them. */
async function run(projects: number, hasRedis: boolean, index: number): Promise<Run> {
  const database = `cross-${projects}-${hasRedis ? "redis" : "log"}-${index}`;
  const env: Record<string, string> = hasRedis ? { REDIS_URL: redis.url, REDIS_PREFIX: database } : {};
  const window = { warmupMs: settings.warmupSeconds * 1_000, windowMs: settings.seconds * 1_000 };
  const servers: RunningServer[] = [];
  const load = new Worker<typeof agentOperations>(new URL("./support/paced-agents.ts", import.meta.url));
  const watching = new Worker<typeof viewerOperations>(new URL("./support/timed-viewers.ts", import.meta.url));
  try {
    while (servers.length < hubs) servers.push(await startHub({ mongodbUri: mongod.uri(database), env }));
    const urls = servers.map(({ url }) => url);
    await load.call("open", { urls: urls.slice(0, 1), agents, projects, prefix: database });
    const projectIds = Array.from({ length: projects }, (_, project) => `${database}-project-${project}`);
    await watching.call("join", { urls, viewers, projectIds });
    const hubPids = Object.fromEntries(servers.map(({ pid }, hub) => [`hub ${hub}`, pid]));
    const pids = { ...hubPids, mongod: mongod.pid, redis: redis.pid, viewers: watching.pid };
    const [paced, timed] = await Promise.all([
      load.call("measure", { ...window, rate, pids }),
      watching.call("measure", { ...window, hubs }),
    ]);
    const shown = timed.hubs.map(({ p50, p99 }) => `${round(p50)}/${round(p99)}`).join(" ");
    console.error(`${projects} projects, ${hasRedis ? "Redis" : "the log alone"}: p50/p99 by hub ${shown} ms`);
    return { agents: paced, viewers: timed };
  } finally {
    await watching.stop();
    await load.stop();
    await Promise.all(servers.map((server) => server.stop()));
  }
}

function report(projects: number, hasRedis: boolean, results: readonly Run[]): void {
  const middle = (value: (result: Run) => number) => median(results.map(value));
  const others = (value: (hub: TimedResult["hubs"][number]) => number) =>
    middle((result) => Math.max(...result.viewers.hubs.slice(1).map(value)));
  const p50 = others((hub) => hub.p50);
  const p99 = others((hub) => hub.p99);
  const core = (prefix: string) =>
    round(
      middle(({ agents: { use } }) =>
        Object.entries(use.cpu).reduce(
          (sum, [name, cpu]) => sum + (name.startsWith(prefix) ? (cpu / use.seconds) * 100 : 0),
          0,
        ),
      ),
    );
  const way = hasRedis ? "Redis" : "the log alone";
  rows.push([
    ...[projects, way, round(middle((result) => result.agents.acksPerSecond))],
    ...[round(middle((result) => result.agents.latencyMs.p50)), round(middle((result) => result.agents.latencyMs.p99))],
    round(middle((result) => result.viewers.hubs[0]?.p50 ?? 0)),
    round(middle((result) => result.viewers.hubs[0]?.p99 ?? 0)),
    ...[round(p50), round(p99)],
    ...[core("hub"), core("mongod"), core("redis"), core("viewers"), core("load")],
    round(middle(({ agents: { use } }) => use.otherCores * 100)),
  ]);
  const claim = `${projects} projects, ${way}`;
  const failures = results.flatMap((result) => result.viewers.failures);
  const refused = results.flatMap((result) => Object.keys(result.agents.errors));
  verdicts.push({
    claim: `${claim}: every viewer got every seq, every publish was acked`,
    target: "0 failures",
    measured:
      [...failures, ...refused].length === 0
        ? "0"
        : `${failures.length + refused.length}: ${failures[0] ?? refused[0]}`,
    isMet: failures.length + refused.length === 0,
  });
  if (!hasRedis) return;
  verdicts.push({
    claim: `${claim}: publish call to frame on another hub, p50 / p99`,
    target: `≤ ${PROMISED.p50Ms} / ${PROMISED.p99Ms} ms`,
    measured: `${round(p50)} / ${round(p99)} ms`,
    isMet: p50 <= PROMISED.p50Ms && p99 <= PROMISED.p99Ms,
  });
}

const { out, ...shown } = settings;
publishReport(
  {
    name: "cross-hub",
    question:
      "How long does a change take from the publish call on one hub to the frame at a viewer of another, through Redis " +
      "and through the log alone?",
    mongodVersion: mongod.version,
    settings: shown,
    tables: [
      {
        title: "Median of the runs (ms from the publish call; % of a core; all on one machine)",
        columns: [
          ...["projects", "between hubs", "changes/s", "ack p50", "ack p99", "same hub p50", "same hub p99"],
          ...["other hubs p50", "other hubs p99"],
          ...["hubs % core", "mongod % core", "redis % core", "viewers % core", "load % core", "others % core"],
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
