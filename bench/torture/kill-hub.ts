import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import mongoose from "mongoose";
import { Random } from "../../test/support/random.ts";
import { freePort, launchHub, type RunningMongod, startMongod, temporaryFolder, until } from "../support/processes.ts";
import { publishReport } from "../support/report.ts";
import { checkHistory, type Fields, type History, type LogEntry, RULES, type Violation } from "./check-history.ts";
import { type Ledger, TortureAgent } from "./torture-agent.ts";
import { TortureViewer } from "./torture-viewer.ts";

/**
 * `kill -9` of the hub, again and again, at random instants under load; MongoDB stays. Agents and viewers follow the
 * protocol and nothing more. At the end the log in MongoDB is judged against what they were told.
 *
 *   node bench/torture/kill-hub.ts [--kills 50] [--agents 40] [--projects 4] [--viewers 2] [--seed N] [--out DIR]
 */
const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "50" },
    agents: { type: "string", default: "40" },
    projects: { type: "string", default: "4" },
    viewers: { type: "string", default: "2" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
    out: { type: "string", default: "bench/results" },
  },
});
const kills = Number(values.kills);
const agentCount = Number(values.agents);
const projectCount = Number(values.projects);
const viewersPerProject = Number(values.viewers);
const seed = Number(values.seed);

/** Kills come this long after the hub was ready… */
const LIFE_MS = { from: 50, to: 1_500 };
/** …or, this often, while it still starts and repairs. */
const STARTING_KILLS = 0.2;
const STARTING_LIFE_MS = { from: 100, to: 700 };
const SETTLE_DEADLINE_MS = 30_000;
const SHOWN_VIOLATIONS = 20;
const DATABASE = "torture";

const random = new Random(seed);
const ledger: Ledger = {
  publishes: [],
  anomalies: [],
  counts: { acked: 0, refused: 0, resent: 0, duplicates: 0, resumed: 0 },
};
const projects = Array.from({ length: projectCount }, (_, index) => `project-${index}`);

console.error(`seed ${seed}: ${kills} kills, ${agentCount} agents, ${projectCount} projects`);
const startedAt = performance.now();
const mongod = await startMongod();
const port = await freePort();
const dataDir = temporaryFolder();
const launch = () => launchHub({ mongodbUri: mongod.uri(DATABASE), port, dataDir, env: { LOG_LEVEL: "error" } });
let hub = await launch();
await hub.ready;

const agents = Array.from({ length: agentCount }, (_, index) => {
  const project = projects[index % projectCount] ?? "";
  return new TortureAgent(hub.url, `agent-${index}`, project, random.fork(), ledger);
});
const viewers = projects.flatMap((project) =>
  Array.from(
    { length: viewersPerProject },
    (_, index) => new TortureViewer(hub.url, `${project} viewer ${index}`, project),
  ),
);
const agentRuns = agents.map((agent) => agent.run());
const viewerRuns = viewers.map((viewer) => viewer.run());

const kill = { whileRunning: 0, whileStarting: 0, unsettled: 0 };
const restartMs: number[] = [];
for (let count = 1; count <= kills; count += 1) {
  await sleep(random.between(LIFE_MS.from, LIFE_MS.to));
  kill.unsettled += agents.filter((agent) => agent.hasUnsettled).length;
  kill.whileRunning += 1;
  await hub.kill();
  let launchedAt = performance.now();
  hub = await launch();
  if (count < kills && random.chance(STARTING_KILLS)) {
    await sleep(random.between(STARTING_LIFE_MS.from, STARTING_LIFE_MS.to));
    await hub.kill();
    count += 1;
    kill.whileStarting += 1;
    launchedAt = performance.now();
    hub = await launch();
  }
  await hub.ready;
  restartMs.push(performance.now() - launchedAt);
  if (count % 10 === 0)
    console.error(`${count} kills, ${ledger.counts.acked} acked, ${ledger.anomalies.length} anomalies`);
}

await sleep(1_000);
for (const agent of agents) agent.stop();
await Promise.race([Promise.all(agentRuns), sleep(SETTLE_DEADLINE_MS)]);
for (const agent of agents) agent.noteUnsettled();
if (ledger.counts.acked === 0) ledger.anomalies.push("nothing was acked: nothing was tested");
const unsettledAtEnd = agents.filter((agent) => agent.hasUnsettled).length;

const history = await collect(mongod);
await hub.stop();
for (const viewer of viewers) viewer.stop();
await Promise.all(viewerRuns);
await mongod.stop();
report(history, [...checkHistory(history), ...ledger.anomalies.map((detail) => ({ rule: "agents" as const, detail }))]);

/** Waits until viewers and documents have come up to the log, then reads everything. */
async function collect(database: RunningMongod): Promise<History> {
  const client = new mongoose.mongo.MongoClient(database.uri(DATABASE), { readConcern: { level: "majority" } });
  const db = client.db();
  try {
    const entries = await db.collection<LogEntry>("log").find().toArray();
    const heads = new Map(projects.map((project) => [project, 0]));
    for (const { _id, to_seq } of entries) heads.set(_id.p, Math.max(heads.get(_id.p) ?? 0, to_seq));
    // Somebody who comes late sees it all at once: the snapshot is judged like a mirror that was kept up.
    for (const project of projects) {
      const late = new TortureViewer(hub.url, `${project} latecomer`, project);
      viewers.push(late);
      viewerRuns.push(late.run());
    }
    await quietly(() =>
      until(
        "viewers are level",
        () => viewers.every((viewer) => viewer.hasJoined && isLevel(viewer, heads)),
        SETTLE_DEADLINE_MS,
      ),
    );
    await quietly(() =>
      until(
        "documents are level",
        async () => {
          const marks = await db.collection<Fields & { _id: string }>("projects").find().toArray();
          return marks.every((mark) => mark.projected_seq === heads.get(mark._id));
        },
        SETTLE_DEADLINE_MS,
      ),
    );
    const documents = (
      await Promise.all(["sessions", "tasks"].map((name) => db.collection(name).find().toArray()))
    ).flat();
    return {
      entries: await db.collection<LogEntry>("log").find().toArray(),
      publishes: ledger.publishes,
      documents,
      viewers: viewers.map((viewer) => viewer.record),
    };
  } finally {
    await client.close();
  }
}

function isLevel(viewer: TortureViewer, heads: ReadonlyMap<string, number>): boolean {
  return viewer.position >= (heads.get(viewer.projectId) ?? 0);
}

/** What does not come level in time is not an error here: the checker says what is missing. */
async function quietly(wait: () => Promise<void>): Promise<void> {
  await wait().catch((error: Error) => ledger.anomalies.push(error.message));
}

function report(judged: History, violations: readonly (Violation | { rule: "agents"; detail: string })[]): void {
  const count = (rule: string) => violations.filter((violation) => violation.rule === rule).length;
  const changes = judged.entries.reduce((total, entry) => total + entry.changes.length, 0);
  const rules = { ...RULES, agents: "agents were resumed with token and last_op, and always answered" };
  const reasons = Object.entries(
    Object.groupBy(
      viewers.flatMap((viewer) => viewer.snapshotReasons),
      (reason) => reason,
    ),
  );
  const digest = createHash("sha256").update(JSON.stringify(judged.entries)).digest("hex").slice(0, 12);
  publishReport(
    {
      name: "kill-hub",
      question:
        "The hub is killed (kill -9) at random instants under load: is an acked change ever lost, doubled, or a gap unseen?",
      mongodVersion: mongod.version,
      settings: { kills, agents: agentCount, projects: projectCount, "viewers per project": viewersPerProject, seed },
      tables: [
        {
          title: "What happened",
          columns: ["figure", "value"],
          rows: [
            ["kills while the hub ran", kill.whileRunning],
            ["kills while it started", kill.whileStarting],
            ["publishes unanswered at a kill", kill.unsettled],
            ["publishes sent again", ledger.counts.resent],
            ["of these answered as duplicate (committed, ack lost)", ledger.counts.duplicates],
            ["publishes acked", ledger.counts.acked],
            ["publishes refused on purpose", ledger.counts.refused],
            ["publishes never answered", unsettledAtEnd],
            ["sessions reopened with token", ledger.counts.resumed],
            ["changes in the log", changes],
            [
              "frames and replays seen by viewers",
              judged.viewers.reduce((total, { steps }) => total + steps.length, 0),
            ],
            ["snapshots by reason", reasons.map(([reason, all]) => `${reason} ${all?.length}`).join(", ")],
            ["restart to ready, longest, ms", Math.round(Math.max(0, ...restartMs))],
            ["seconds", Math.round((performance.now() - startedAt) / 1000)],
            ["log digest", digest],
          ],
        },
      ],
      verdicts: Object.entries(rules).map(([rule, claim]) => ({
        claim: `${rule}: ${claim}`,
        target: "0 violations",
        measured: String(count(rule)),
        isMet: count(rule) === 0,
      })),
      runs: { violations: violations.slice(0, 1_000) },
    },
    values.out,
  );
  for (const { rule, detail } of violations.slice(0, SHOWN_VIOLATIONS)) console.log(`${rule}: ${detail}`);
  if (violations.length > 0) keepHistory(judged);
  process.exit(violations.length === 0 ? 0 : 1);
}

/** So that a violation can be looked at afterwards. */
function keepHistory(judged: History): void {
  mkdirSync(values.out, { recursive: true });
  const file = join(values.out, "kill-hub.history.log");
  writeFileSync(file, JSON.stringify(judged));
  console.log(`the whole history is in ${file}`);
}
