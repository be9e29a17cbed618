// How long do operators wait for lists, filters and one session, among a million?

import mongoose from "mongoose";
import { cpuBetween, cpuSeconds, sampleCpu } from "./support/process-usage.ts";
import { startBareExpress, startHub, startMongod } from "./support/processes.ts";
import { publishReport, round, type Verdict } from "./support/report.ts";
import { RestClient } from "./support/rest-load.ts";
import { MACHINES, seedDatabase, seedProject, seedSession } from "./support/seed-database.ts";
import { readSettings } from "./support/settings.ts";
import { median, percentiles } from "./support/statistics.ts";

const LIST_P99_MS = 20;
const LOAD_AVERAGE_MS = 100;
const ONE_SESSION_SHARE = 0.6;
const IN_FLIGHT = 20;
const defaults = { sessions: [100_000], changes: [1_000_000], projects: [100], requests: [300] };
const settings = readSettings({ pairs: 5, seconds: 3, warmupSeconds: 2 }, defaults);
const [sessions = 0] = settings.sessions;
const [changes = 0] = settings.changes;
const [projects = 0] = settings.projects;
const [requests = 0] = settings.requests;
const say = (line: string) => console.error(line);

// BENCH_URI names a database that bench/seed.ts has filled with the same numbers.
const mongod = process.env.BENCH_URI === undefined ? await startMongod() : undefined;
const uri = process.env.BENCH_URI ?? mongod?.uri("queries") ?? "";
if (mongod !== undefined) await seedDatabase({ uri, sessions, changes, projects, say });
// One key asks for more than it may in practice.
const hub = await startHub({ mongodbUri: uri, env: { MAX_KEY_REQUESTS_PER_SECOND: "0" } });
const bare = await startBareExpress({ mongodbUri: uri });
const client = new RestClient(hub.url, 100);
const bareClient = new RestClient(bare.url, 100);

const now = Date.now();
const day = (ago: number) => new Date(now - ago * 86_400_000).toISOString();
const anyProject = (index: number) => seedProject(1 + (index % Math.max(1, projects - 1)));
const FILTERS: readonly (readonly [name: string, search: (index: number) => string])[] = [
  ["none", () => ""],
  ["status, common", () => "status=COMPLETED"],
  ["status, rare", () => "status=CANCELLED"],
  ["liveness", (index) => `liveness=${index % 2 === 0 ? "lost" : "unmonitored"}`],
  ["machine_id", (index) => `machine_id=m-${(index * 7) % MACHINES}`],
  ["environment", () => "environment=test"],
  ["min_recovery_attempts", (index) => `min_recovery_attempts=${1 + (index % 5)}`],
  ["updated_from", (index) => `updated_from=${day(1 + (index % 20))}`],
];
const SHAPES = FILTERS.flatMap(([name, search]) => {
  const created = (index: number) => `created_from=${day(29.9)}&created_to=${day(27 - (index % 10) / 10)}`;
  const withTimes = name === "updated_from" ? [] : ([[`${name}, created_at`, created]] as const);
  return [[name, () => ""] as const, ...withTimes].flatMap(([shape, times]) => [
    { shape, scope: "all", path: (index: number) => `/sessions?${search(index)}&${times(index)}` },
    {
      shape,
      scope: "one",
      path: (index: number) => `/sessions?project_id=${anyProject(index)}&${search(index)}&${times(index)}`,
    },
  ]);
});

const verdicts: Verdict[] = [];
const lists: (string | number)[][] = [];
for (const { shape, scope, path } of SHAPES) {
  await client.load(20, 1, path);
  // Every other request goes on from the page before.
  const answers = [];
  const before = cpuSeconds(hub.pid);
  for (let index = 0; index < requests / 2; index++) {
    const first = await client.get(path(index));
    const { next_cursor } = JSON.parse(first.body) as { readonly next_cursor?: string };
    answers.push(first);
    if (next_cursor !== undefined) answers.push(await client.get(`${path(index)}&cursor=${next_cursor}`));
  }
  const failed = answers.filter(({ status }) => status !== 200).length;
  const hubMs = ((cpuSeconds(hub.pid) - before) / answers.length) * 1_000;
  const { p50, p99, max } = percentiles(answers.map(({ ms }) => ms));
  const items = median(answers.map(({ body }) => (JSON.parse(body) as { length: number }).length));
  lists.push([shape, scope, round(p50), round(p99), round(max), round(hubMs), items, failed]);
}
const worst = Math.max(...lists.map((row) => Number(row[3])));
verdicts.push({
  claim: "p99 of the slowest shape of a list",
  target: `≤ ${LIST_P99_MS} ms`,
  measured: `${worst} ms`,
  isMet: worst <= LIST_P99_MS && lists.every((row) => row[7] === 0),
});

const before = sampleCpu({ hub: hub.pid });
const load = await client.load(1_000, 100, () => "/sessions");
const failed = load.filter(({ status }) => status !== 200).length;
const { mean, p99 } = percentiles(load.map(({ ms }) => ms));
const use = cpuBetween(before, sampleCpu({ hub: hub.pid }));
verdicts.push({
  claim: "1,000 requests of /sessions, 100 at a time",
  target: `0 failed, average < ${LOAD_AVERAGE_MS} ms`,
  measured: `${failed} failed, average ${round(mean)} ms, p99 ${round(p99)} ms`,
  isMet: failed === 0 && mean < LOAD_AVERAGE_MS,
});

const perProject = Math.ceil(sessions / projects);
const onePath = (index: number) => {
  const place = (index * 7_919) % (perProject * projects);
  return `/sessions/${seedSession(place % perProject)}?project_id=${seedProject(Math.floor(place / perProject))}`;
};
/** Answers a second. */
async function rate(of: RestClient, seconds: number): Promise<number> {
  const started = performance.now();
  let count = 0;
  while (performance.now() - started < seconds * 1_000) {
    const answers = await of.load(400, IN_FLIGHT, (index) => onePath(count + index));
    if (answers.some(({ status }) => status !== 200)) throw new Error("a read of one session failed");
    count += answers.length;
  }
  return count / ((performance.now() - started) / 1_000);
}
await rate(client, settings.warmupSeconds);
await rate(bareClient, settings.warmupSeconds);
const pairs: { ours: number; theirs: number }[] = [];
for (let pair = 0; pair < settings.pairs; pair++) {
  const oursFirst = pair % 2 === 0;
  const first = await rate(oursFirst ? client : bareClient, settings.seconds);
  const second = await rate(oursFirst ? bareClient : client, settings.seconds);
  pairs.push(oursFirst ? { ours: first, theirs: second } : { ours: second, theirs: first });
}
const share = median(pairs.map(({ ours, theirs }) => ours / theirs));
verdicts.push({
  claim: "GET /sessions/{id}, beside bare express with one lean mongoose read",
  target: `≥ ${ONE_SESSION_SHARE} ×`,
  measured: `${round(share)} ×`,
  isMet: share >= ONE_SESSION_SHARE,
});

const projectReads = await client.load(requests, 1, (index) => `/projects/${anyProject(index)}`);
const projectTimes = percentiles(projectReads.map(({ ms }) => ms));
const connection = await mongoose.createConnection(uri).asPromise();
const seeded = { sessions: await connection.collection("sessions").estimatedDocumentCount(), changes };
await connection.close();
publishReport(
  {
    name: "queries",
    question: "How long do operators wait for lists, filters, one session and the counts of a project, among many?",
    ...(mongod === undefined ? {} : { mongodVersion: mongod.version }),
    settings: { ...seeded, projects, requests, page: 50, pairs: settings.pairs, seconds: settings.seconds },
    tables: [
      {
        title: "Lists, one request at a time",
        columns: ["filter", "projects", "p50 ms", "p99 ms", "max ms", "hub CPU ms", "items", "failed"],
        rows: lists,
      },
      {
        title: "One session, one project",
        columns: ["request", "figure"],
        rows: [
          ["GET /sessions/{id}, answers a second", round(median(pairs.map(({ ours }) => ours)))],
          ["bare express, answers a second", round(median(pairs.map(({ theirs }) => theirs)))],
          ["GET /sessions under load, ms of the hub's CPU each", round(use.cpu.hub ?? 0)],
          ["% of a core that others took meanwhile", round(use.otherCores * 100)],
          ["GET /projects/{id}, p50 and p99 ms", `${round(projectTimes.p50)}, ${round(projectTimes.p99)}`],
        ],
      },
    ],
    verdicts,
    runs: { lists, pairs },
  },
  settings.out,
);
client.close();
bareClient.close();
await hub.stop();
await bare.stop();
await mongod?.stop();
process.exit(verdicts.every(({ isMet }) => isMet) ? 0 : 1);
