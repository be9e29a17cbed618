import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import mongoose from "mongoose";
import { watchOperations } from "./support/mongod-operations.ts";
import { type CpuUse, cpuBetween, sampleCpu } from "./support/process-usage.ts";
import { startHub, startMongod } from "./support/processes.ts";
import { publishReport, round, type Verdict } from "./support/report.ts";
import type { Returned, operations as returning } from "./support/returning-clients.ts";
import type { operations as steady } from "./support/steady-agents.ts";
import { Worker } from "./support/worker.ts";

/**
 * `kill -9` of one hub of two: its agents and viewers come back to the other one, all at once, with the pauses of the
 * SDK, while agents of that hub go on publishing.
 *
 *   node bench/storm.ts [--agents 5000] [--viewers 1000] [--projects 100] [--bystanders 200] [--out DIR]
 */
const { values } = parseArgs({
  options: {
    agents: { type: "string", default: "5000" },
    viewers: { type: "string", default: "1000" },
    projects: { type: "string", default: "100" },
    bystanders: { type: "string", default: "200" },
    out: { type: "string", default: "bench/results" },
  },
});
const agents = Number(values.agents);
const viewers = Number(values.viewers);
const projects = Number(values.projects);
const bystanders = Number(values.bystanders);

const DATABASE = "storm";
const BEFORE_MS = 5_000;
const PATIENCE_MS = 60_000;
const LEASED_MS = 10_000;
const ACK_MS = 500;
const READS_PER_ROOM = 2;

const mongod = await startMongod();
const [dying, staying] = [
  await startHub({ mongodbUri: mongod.uri(DATABASE) }),
  await startHub({ mongodbUri: mongod.uri(DATABASE) }),
];
const clients = (role: "agent" | "viewer", count: number) => ({
  ...{ urls: [dying.url, staying.url], role, clients: count, projects },
});
const fleet = new Worker<typeof returning>(new URL("./support/returning-clients.ts", import.meta.url));
const audience = new Worker<typeof returning>(new URL("./support/returning-clients.ts", import.meta.url));
const others = new Worker<typeof steady>(new URL("./support/steady-agents.ts", import.meta.url));
await fleet.call("open", clients("agent", agents));
await audience.call("open", clients("viewer", viewers));
await others.call("open", { url: staying.url, agents: bystanders, projects: 20, prefix: "bystander" });
await others.call("pace", { changesPerSecond: bystanders, extraBytes: 0 });
console.error("all are open");

const pids = {
  ...{ mongod: mongod.pid, "hub that stays": staying.pid, agents: fleet.pid },
  ...{ viewers: audience.pid, bystanders: others.pid },
};
await sleep(1_000);
const beforeAt = Date.now();
const calm = await watchOperations(mongod, DATABASE, sleep(BEFORE_MS));
const before = await others.call("window", { from: beforeAt, to: Date.now() });

const cpuAtKill = sampleCpu(pids);
const killedAt = Date.now();
const storm = await watchOperations(mongod, DATABASE, killAndWait());
const { agentsBack, viewersBack, use } = storm.result;
const stormMs = Date.now() - killedAt;
const during = await others.call("window", { from: killedAt, to: killedAt + stormMs });
await others.call("settle", null);
await sleep(3_000);
const positions = await audience.call("positions", null);
const heads = await readHeads();
const behind = Object.entries(positions.lowest).filter(([project, seq]) => seq !== heads.get(project));
await Promise.all([fleet.stop(), audience.stop(), others.stop()]);
await dying.stop();
await staying.stop();
await mongod.stop();
report();

async function killAndWait(): Promise<{ agentsBack: Returned; viewersBack: Returned; use: CpuUse }> {
  await dying.kill();
  for (;;) {
    await sleep(100);
    const agentsBack = await fleet.call("returned", { since: killedAt });
    const viewersBack = await audience.call("returned", { since: killedAt });
    const isOver = agentsBack.isComplete && viewersBack.isComplete;
    if (!isOver && Date.now() - killedAt < PATIENCE_MS) continue;
    return { agentsBack, viewersBack, use: cpuBetween(cpuAtKill, sampleCpu(pids)) };
  }
}

/** The end of each project's log. */
async function readHeads(): Promise<ReadonlyMap<string, number>> {
  const client = new mongoose.mongo.MongoClient(mongod.uri(DATABASE));
  try {
    const last = { $group: { _id: "$_id.p", head: { $max: "$to_seq" } } };
    const found = await client.db().collection("log").aggregate<{ _id: string; head: number }>([last]).toArray();
    return new Map(found.map(({ _id, head }) => [_id, head]));
  } finally {
    await client.close();
  }
}

/** Reads a second, by collection; `hubs` and `beats` are looked at all the time and by nobody's request. */
function reads(counts: Readonly<Record<string, number>>): Record<string, number> {
  const found: Record<string, number> = {};
  for (const collection of ["log", "sessions", "tasks", "projects"]) {
    found[collection] = (counts[`${collection} queries`] ?? 0) + (counts[`${collection} getmore`] ?? 0);
  }
  return found;
}

function report(): void {
  const usual = reads(calm.operations.counts);
  const inStorm = reads(storm.operations.counts);
  const extra = Object.fromEntries(
    Object.entries(inStorm).map(([name, count]) => [name, count - ((usual[name] ?? 0) * stormMs) / BEFORE_MS]),
  );
  const extraReads = Math.max(
    0,
    Object.values(extra).reduce((sum, count) => sum + count, 0),
  );
  const { p99 } = during.acks;
  const verdicts: Verdict[] = [
    {
      claim: `${agents} agents leased again after the kill`,
      target: `≤ ${LEASED_MS / 1000} s`,
      measured: agentsBack.isComplete
        ? `${round(agentsBack.backAfterMs.max / 1000)} s`
        : `${agentsBack.backAfterMs.count} within ${PATIENCE_MS / 1000} s`,
      isMet: agentsBack.isComplete && agentsBack.backAfterMs.max <= LEASED_MS,
    },
    {
      claim: "acks of the agents that stayed, p99",
      target: `< ${ACK_MS} ms`,
      measured: `${round(p99)} ms`,
      isMet: p99 < ACK_MS && during.acks.count > 0,
    },
    {
      claim: `${viewers} viewers whole: no hole, and all at the end of the log`,
      target: "all",
      measured:
        positions.failures.length > 0
          ? positions.failures.join("; ")
          : viewersBack.isComplete && behind.length === 0
            ? "all"
            : `${behind.length} projects behind, ${viewersBack.backAfterMs.count} viewers back`,
      isMet: positions.failures.length === 0 && viewersBack.isComplete && behind.length === 0,
    },
    {
      claim: "reads of MongoDB above the usual, for each room",
      target: `≤ ${READS_PER_ROOM}`,
      measured: `${round(extraReads / projects)}`,
      isMet: extraReads <= READS_PER_ROOM * projects,
    },
  ];
  publishReport(
    {
      name: "storm",
      question:
        "One hub of two is killed (kill -9): how long until all its agents and viewers are at home on the other, and what do that hub's own agents notice?",
      mongodVersion: mongod.version,
      settings: { agents, viewers, projects, bystanders, "changes/s of bystanders": bystanders },
      tables: [
        {
          title: "Back after the kill, in seconds",
          columns: ["who", "back", "p50", "p99", "last", "to what", "turned away on the way"],
          rows: [backRow("agents", agentsBack), backRow("viewers", viewersBack)],
        },
        {
          title: "Acks of the bystanders, in ms",
          columns: ["when", "acks", "p50", "p90", "p99", "max", "errors"],
          rows: (
            [
              ["before the kill", before],
              ["until all were back", during],
            ] as const
          ).map(([when, { acks, errors }]) => [
            when,
            acks.count,
            round(acks.p50),
            round(acks.p90),
            round(acks.p99),
            round(acks.max),
            JSON.stringify(errors),
          ]),
        },
        {
          title: "Reads of MongoDB",
          columns: ["collection", "before, a second", "in the storm", "of it above the usual"],
          rows: Object.entries(inStorm).map(([name, count]) => [
            ...[name, round((usual[name] ?? 0) / (BEFORE_MS / 1000)), count, round(extra[name] ?? 0)],
          ]),
        },
        {
          title: `CPU from the kill until all were back (${round(use.seconds)} s)`,
          columns: ["process", "seconds", "% of a core"],
          rows: [
            ...Object.entries(use.cpu).map(([name, used]) => [name, round(used), round((used / use.seconds) * 100)]),
            ["others", round(use.otherCores * use.seconds), round(use.otherCores * 100)],
          ],
        },
      ],
      verdicts,
      runs: { agentsBack, viewersBack, before, during, calm: calm.operations, storm: storm.operations, use },
    },
    values.out,
  );
  process.exit(verdicts.every((verdict) => verdict.isMet) ? 0 : 1);
}

function backRow(who: string, { backAfterMs, how, refusals }: Returned): (string | number)[] {
  const list = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .map(([name, count]) => `${count} ${name}`)
      .join(", ") || "–";
  const [p50, p99, last] = [backAfterMs.p50, backAfterMs.p99, backAfterMs.max].map((ms) => round(ms / 1000));
  return [who, backAfterMs.count, p50 ?? 0, p99 ?? 0, last ?? 0, list(how), list(refusals)];
}
