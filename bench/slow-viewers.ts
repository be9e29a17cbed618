import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type CpuUse, cpuBetween, residentBytes, sampleCpu } from "./support/process-usage.ts";
import { type RunningMongod, startHub, startMongod } from "./support/processes.ts";
import { publishReport, round, type Verdict } from "./support/report.ts";
import type { operations as steady } from "./support/steady-agents.ts";
import type { Watched, operations as watching } from "./support/watching-viewers.ts";
import { Worker } from "./support/worker.ts";

/**
 * Viewers of which some read 1 KB a second, against the same run in which all read as quickly as they can.
 *
 *   node bench/slow-viewers.ts [--viewers 500] [--slow 50] [--projects 10] [--changes-per-second 200]
 *     [--change-bytes 8000] [--fill-seconds 30] [--seconds 15] [--out DIR]
 */
const { values } = parseArgs({
  options: {
    viewers: { type: "string", default: "500" },
    slow: { type: "string", default: "50" },
    projects: { type: "string", default: "10" },
    "changes-per-second": { type: "string", default: "200" },
    "change-bytes": { type: "string", default: "8000" },
    "fill-seconds": { type: "string", default: "30" },
    seconds: { type: "string", default: "15" },
    out: { type: "string", default: "bench/results" },
  },
});
const viewers = Number(values.viewers);
const slow = Number(values.slow);
const projects = Number(values.projects);
const changesPerSecond = Number(values["changes-per-second"]);
const extraBytes = Number(values["change-bytes"]);
const fillMs = Number(values["fill-seconds"]) * 1_000;
const windowMs = Number(values.seconds) * 1_000;

const PREFIX = "slow";
const AGENTS = 100;
const BUDGET = 1024 * 1024;
const LOOK_EVERY_MS = 250;

interface Run {
  readonly slow: number;
  readonly others: Watched;
  /** Of the hub: when all had joined, and the most seen from then on. */
  readonly startBytes: number;
  readonly mostBytes: number;
  readonly openAtEnd: number;
  readonly bytesRead: number;
  readonly use: CpuUse;
}

const mongod = await startMongod();
const quick = await run(mongod, 0);
const mixed = await run(mongod, slow);
await mongod.stop();
report();

/** A hub and a database of its own. */
async function run(database: RunningMongod, slowViewers: number): Promise<Run> {
  const hub = await startHub({ mongodbUri: database.uri(`slow-viewers-${slowViewers}`) });
  const agents = new Worker<typeof steady>(new URL("./support/steady-agents.ts", import.meta.url));
  const watchers = new Worker<typeof watching>(new URL("./support/watching-viewers.ts", import.meta.url));
  const slowWatchers = new Worker<typeof watching>(new URL("./support/watching-viewers.ts", import.meta.url));
  await agents.call("open", { url: hub.url, agents: AGENTS, projects, prefix: PREFIX });
  const join = { url: hub.url, projects, prefix: PREFIX };
  await watchers.call("join", { ...join, viewers: viewers - slowViewers });
  await slowWatchers.call("joinSlowly", { ...join, viewers: slowViewers });
  const startBytes = residentBytes(hub.pid);
  let mostBytes = startBytes;
  const looking = setInterval(() => {
    mostBytes = Math.max(mostBytes, residentBytes(hub.pid));
  }, LOOK_EVERY_MS);
  await agents.call("pace", { changesPerSecond, extraBytes });
  // Until the buffers of the kernel are full, a slow viewer is none for the hub.
  await sleep(fillMs);
  const pids = { ...{ mongod: database.pid, hub: hub.pid, agents: agents.pid }, viewers: watchers.pid };
  const before = sampleCpu(pids);
  const others = await watchers.call("measure", { windowMs });
  const use = cpuBetween(before, sampleCpu(pids));
  clearInterval(looking);
  const { open, bytesRead } = await slowWatchers.call("slowOnes", null);
  await Promise.all([agents.stop(), watchers.stop(), slowWatchers.stop()]);
  await hub.stop();
  console.error(`${slowViewers} slow: the others' p99 ${round(others.ageMs.p99)} ms`);
  return { slow: slowViewers, others, startBytes, mostBytes, openAtEnd: open, bytesRead, use };
}

function report(): void {
  const grown = ({ startBytes, mostBytes }: Run) => mostBytes - startBytes;
  const perSlow = (grown(mixed) - grown(quick)) / slow;
  const failures = [...quick.others.failures, ...mixed.others.failures];
  const [p99Quick, p99Mixed] = [quick.others.ageMs.p99, mixed.others.ageMs.p99];
  const verdicts: Verdict[] = [
    {
      claim: "memory of the hub for each slow viewer, above the same run without",
      target: "≤ 1 MiB",
      measured: `${round(perSlow / BUDGET)} MiB`,
      isMet: perSlow <= BUDGET,
    },
    {
      claim: "the others' p99, against the same run without",
      target: "< 2 ×",
      measured: `${round(p99Mixed / p99Quick)} ×`,
      isMet: p99Mixed < 2 * p99Quick,
    },
    {
      claim: "the others got every change in order",
      target: "all",
      measured: failures.length === 0 ? "all" : failures.join("; "),
      isMet: failures.length === 0 && mixed.others.ageMs.count > 0,
    },
  ];
  const megabytes = (bytes: number) => round(bytes / BUDGET);
  publishReport(
    {
      name: "slow-viewers",
      question:
        "What do viewers that read 1 KB a second cost the hub, and the viewers that read as quickly as they can?",
      mongodVersion: mongod.version,
      settings: {
        ...{ viewers, slow, projects, agents: AGENTS, "changes/s": changesPerSecond, "bytes a change": extraBytes },
        ...{ "seconds before": fillMs / 1_000, seconds: windowMs / 1_000 },
      },
      tables: [
        {
          title: "From the publish to the others, in ms; memory of the hub in MiB",
          columns: [
            ...["slow", "frames", "p50", "p90", "p99", "max", "at the start", "most", "slow ones left", "KB they read"],
          ],
          rows: [quick, mixed].map((one) => [
            ...[one.slow, one.others.ageMs.count, round(one.others.ageMs.p50), round(one.others.ageMs.p90)],
            ...[round(one.others.ageMs.p99), round(one.others.ageMs.max), megabytes(one.startBytes)],
            ...[megabytes(one.mostBytes), one.openAtEnd, round(one.bytesRead / 1_024)],
          ]),
        },
        {
          title: "CPU while it was measured, % of a core",
          columns: ["slow", "hub", "mongod", "agents", "the others", "outside"],
          rows: [quick, mixed].map(({ slow: count, use: { cpu, seconds, otherCores } }) => [
            count,
            ...["hub", "mongod", "agents", "viewers"].map((name) => round(((cpu[name] ?? 0) / seconds) * 100)),
            round(otherCores * 100),
          ]),
        },
      ],
      verdicts,
      runs: [quick, mixed],
    },
    values.out,
  );
  process.exit(verdicts.every((verdict) => verdict.isMet) ? 0 : 1);
}
