// How long do operators wait for lists, filters and one session, among a million?

import mongoose from "mongoose";
import type { SessionPage } from "../shared/rest/sessions.ts";
import { listShapes } from "./support/list-shapes.ts";
import { cpuBetween, sampleCpu } from "./support/process-usage.ts";
import { startBareExpress, startHub, startMongod } from "./support/processes.ts";
import { QuietSeconds } from "./support/quiet-seconds.ts";
import { publishReport, round, type Verdict } from "./support/report.ts";
import { paced, type RestAnswer, RestClient } from "./support/rest-load.ts";
import { seedDatabase, seedProject, seedSession } from "./support/seed-database.ts";
import { readSettings } from "./support/settings.ts";
import { median, percentiles } from "./support/statistics.ts";

const LIST_P99_MS = 20;
const LOAD_AVERAGE_MS = 100;
const ONE_SESSION_SHARE = 0.6;
const IN_FLIGHT = 20;
/** Shares of the requests in quiet seconds: beyond the one all are judged, below the other none. */
const QUIET_ENOUGH = 0.95;
const LEAST_QUIET = 0.5;
/** Rounds over all shapes before anything is measured, and lists that are asked for as fast as they are answered. */
const WARM_ROUNDS = 20;
const BUSY_LISTS = 3_000;
/** Divides the number of shapes. */
const LISTS_PER_CONTROL = 5;
const BUSY_IN_FLIGHT = [1, 10];
const defaults = {
  sessions: [100_000],
  changes: [1_000_000],
  projects: [100],
  requests: [200],
  "lists-per-second": [25],
};
const settings = readSettings({ pairs: 5, seconds: 3, warmupSeconds: 2 }, defaults);
const [sessions = 0] = settings.sessions;
const [changes = 0] = settings.changes;
const [projects = 0] = settings.projects;
const [requests = 0] = settings.requests;
const [rate = 0] = settings["lists-per-second"];
const say = (line: string) => console.error(line);

// BENCH_URI names a database that bench/seed.ts has filled with the same numbers.
const mongod = process.env.BENCH_URI === undefined ? await startMongod() : undefined;
const uri = process.env.BENCH_URI ?? mongod?.uri("queries") ?? "";
if (mongod !== undefined) await seedDatabase({ uri, sessions, changes, projects, say });
const connection = await mongoose.createConnection(uri).asPromise();
const seeded = { sessions: await connection.collection("sessions").estimatedDocumentCount(), changes };
const { pid: mongodPid } = await connection.getClient().db("admin").command({ serverStatus: 1 });
await connection.close();
// One key asks for more than it may in practice.
const hub = await startHub({ mongodbUri: uri, env: { MAX_KEY_REQUESTS_PER_SECOND: "0" } });
const bare = await startBareExpress({ mongodbUri: uri });
const client = new RestClient(hub.url, 100);
const bareClient = new RestClient(bare.url, 100);
const verdicts: Verdict[] = [];
const tailOf = (ms: readonly number[]) => {
  const { count, p50, p90, p99, max } = percentiles(ms);
  return [count, ...[p50, p90, p99, max].map(round)];
};
const cpuOf = (cpu: Readonly<Record<string, number>>, count: number) =>
  [cpu.hub ?? 0, cpu.mongod ?? 0].map((seconds) => round((seconds / count) * 1_000));

// First the load of operators who ask now and then: every shape in turn, at a fixed rate. What this machine does to any
// server at that pace stands beside it: bare express with a list, and the hub's own /health, which reads nothing.
const shapes = listShapes(projects);
interface Timed {
  readonly ms: number;
  readonly dueMs: number;
}
const times = shapes.map((): Timed[] => []);
const pages = shapes.map(() => ({ items: [] as number[], failed: 0, next: "" }));
const shapeOf = (index: number) => index % shapes.length;
const roundOf = (index: number) => Math.floor(index / shapes.length);
/** Every other request of a shape goes on from the page before. */
function pathOf(index: number): string {
  const round = roundOf(index);
  const path = shapes[shapeOf(index)]?.path(round - (round % 2)) ?? "";
  const next = round % 2 === 1 ? pages[shapeOf(index)]?.next : undefined;
  return next ? `${path}&cursor=${next}` : path;
}
function noteList(index: number, { status, ms, body }: RestAnswer, dueMs: number): void {
  const page = pages[shapeOf(index)];
  times[shapeOf(index)]?.push({ ms, dueMs });
  if (page === undefined) return;
  if (status !== 200) page.failed += 1;
  const { length = 0, next_cursor = "" } = status === 200 ? (JSON.parse(body) as SessionPage) : {};
  page.items.push(length);
  page.next = next_cursor;
}
/** Beside each `LISTS_PER_CONTROL` lists, one request of each. */
const controls = [
  { name: "bare express, one lean find of 50", ask: () => bareClient.get("/sessions"), times: [] as Timed[] },
  { name: "GET /health of the hub", ask: () => client.get("/health"), times: [] as Timed[] },
];
const group = LISTS_PER_CONTROL + controls.length;
const listAt = (turn: number) => Math.floor(turn / group) * LISTS_PER_CONTROL + (turn % group);
const controlAt = (turn: number) => controls[(turn % group) - LISTS_PER_CONTROL];

await client.load(WARM_ROUNDS * shapes.length, 1, pathOf);
await bareClient.load(WARM_ROUNDS * shapes.length, 1, () => "/sessions");
const quiet = new QuietSeconds();
const beforePaced = sampleCpu({ hub: hub.pid, mongod: mongodPid });
await paced(
  (requests * shapes.length * group) / LISTS_PER_CONTROL,
  1_000 / rate,
  (turn) => controlAt(turn)?.ask() ?? client.get(pathOf(listAt(turn))),
  (turn, answer, dueMs) => {
    const control = controlAt(turn);
    if (control === undefined) noteList(listAt(turn), answer, dueMs);
    else control.times.push({ ms: answer.ms, dueMs });
  },
);
const pacedUse = cpuBetween(beforePaced, sampleCpu({ hub: hub.pid, mongod: mongodPid }));
quiet.stop();
const msOf = (timed: readonly Timed[]) => timed.map(({ ms }) => ms);
const quietMs = (timed: readonly Timed[]) => msOf(timed.filter(({ ms, dueMs }) => quiet.has(dueMs, dueMs + ms)));
const lists = shapes.map(({ filter, scope }, index) => {
  const { p50, p99, max } = percentiles(msOf(times[index] ?? []));
  const own = percentiles(quietMs(times[index] ?? []));
  const { items = [], failed = 0 } = pages[index] ?? {};
  return [filter, scope, ...[p50, p99, max].map(round), own.count, round(own.p99), median(items), failed];
});
const all = percentiles(msOf(times.flat()));
const undisturbed = percentiles(quietMs(times.flat()));
const share = undisturbed.count / all.count;
// Where nearly all seconds were quiet nothing is left out.
const judged = share >= QUIET_ENOUGH ? msOf : quietMs;
const slowest = Math.max(...times.map((timed) => percentiles(judged(timed)).p99));
const isKnown = share >= LEAST_QUIET;
verdicts.push({
  claim: `p99 of the slowest shape of a list, at ${rate} requests a second, all shapes in turn`,
  target: `≤ ${LIST_P99_MS} ms`,
  measured: isKnown
    ? `${round(slowest)} ms ${judged === msOf ? "" : "in quiet seconds "}(of all lists ${round(percentiles(judged(times.flat())).p99)} ms; ${round(share * 100)} % of them in quiet seconds)`
    : `not known: of ${all.count} lists ${undisturbed.count} fell into quiet seconds`,
  isMet: isKnown && slowest <= LIST_P99_MS && pages.every(({ failed }) => failed === 0),
});

/** As many as the hub answers. */
const busy: (string | number)[][] = [];
for (const inFlight of BUSY_IN_FLIGHT) {
  const before = sampleCpu({ hub: hub.pid, mongod: mongodPid });
  const answers = await client.load(BUSY_LISTS, inFlight, pathOf);
  const { seconds, cpu, otherCores } = cpuBetween(before, sampleCpu({ hub: hub.pid, mongod: mongodPid }));
  const { p50, p99 } = percentiles(answers.map(({ ms }) => ms));
  busy.push([
    inFlight,
    round(answers.length / seconds),
    round(p50),
    round(p99),
    ...cpuOf(cpu, BUSY_LISTS),
    round(otherCores * 100),
  ]);
}

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
async function readRate(of: RestClient, seconds: number): Promise<number> {
  const started = performance.now();
  let count = 0;
  while (performance.now() - started < seconds * 1_000) {
    const answers = await of.load(400, IN_FLIGHT, (index) => onePath(count + index));
    if (answers.some(({ status }) => status !== 200)) throw new Error("a read of one session failed");
    count += answers.length;
  }
  return count / ((performance.now() - started) / 1_000);
}
await readRate(client, settings.warmupSeconds);
await readRate(bareClient, settings.warmupSeconds);
const pairs: { ours: number; theirs: number }[] = [];
for (let pair = 0; pair < settings.pairs; pair++) {
  const oursFirst = pair % 2 === 0;
  const first = await readRate(oursFirst ? client : bareClient, settings.seconds);
  const second = await readRate(oursFirst ? bareClient : client, settings.seconds);
  pairs.push(oursFirst ? { ours: first, theirs: second } : { ours: second, theirs: first });
}
const oneShare = median(pairs.map(({ ours, theirs }) => ours / theirs));
verdicts.push({
  claim: "GET /sessions/{id}, beside bare express with one lean mongoose read",
  target: `≥ ${ONE_SESSION_SHARE} ×`,
  measured: `${round(oneShare)} ×`,
  isMet: oneShare >= ONE_SESSION_SHARE,
});

const projectReads = await client.load(requests, 1, (index) => `/projects/${seedProject(index % projects)}`);
const projectTimes = percentiles(projectReads.map(({ ms }) => ms));
publishReport(
  {
    name: "queries",
    question: "How long do operators wait for lists, filters, one session and the counts of a project, among many?",
    ...(mongod === undefined ? {} : { mongodVersion: mongod.version }),
    settings: {
      ...seeded,
      projects,
      requests,
      "lists a second": rate,
      pairs: settings.pairs,
      seconds: settings.seconds,
    },
    tables: [
      {
        title: `Lists of 50 at ${rate} requests a second, all shapes in turn, from when each was due`,
        columns: ["filter", "projects", "p50 ms", "p99 ms", "max ms", "quiet", "p99 ms of those", "items", "failed"],
        rows: lists,
      },
      {
        title: "The same pace, the same minutes",
        columns: ["request", "seconds", "requests", "p50 ms", "p90 ms", "p99 ms", "max ms"],
        rows: [{ name: "lists of the hub", times: times.flat() }, ...controls].flatMap((one) => [
          [one.name, "all", ...tailOf(msOf(one.times))],
          [one.name, "quiet", ...tailOf(quietMs(one.times))],
        ]),
      },
      {
        title: "What a list costs",
        columns: [
          "in flight",
          "lists a second",
          "p50 ms",
          "p99 ms",
          "hub CPU ms each",
          "mongod CPU ms each",
          "% of a core that others took",
        ],
        rows: [
          [
            `${rate} a second`,
            round(times.flat().length / pacedUse.seconds),
            round(all.p50),
            round(all.p99),
            ...cpuOf(pacedUse.cpu, times.flat().length),
            round(pacedUse.otherCores * 100),
          ],
          ...busy,
        ],
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
    runs: { lists: times.map((timed) => msOf(timed).map(round)), pairs },
  },
  settings.out,
);
client.close();
bareClient.close();
await hub.stop();
await bare.stop();
await mongod?.stop();
process.exit(verdicts.every(({ isMet }) => isMet) ? 0 : 1);
