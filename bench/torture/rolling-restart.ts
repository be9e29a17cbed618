import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { followProject, type ProjectFollower } from "../../client/follower.ts";
import { localFleet } from "../../scripts/cluster/local-fleet.ts";
import { type Restarted, rollingRestart } from "../../scripts/cluster/rolling-restart.ts";
import { BlindTimes } from "../../test/support/blind-times.ts";
import { ClusterProcess } from "../../test/support/cluster.ts";
import { Random } from "../../test/support/random.ts";
import { BENCH_KEY, startMongod, until } from "../support/processes.ts";
import { publishReport, round } from "../support/report.ts";
import { percentiles } from "../support/statistics.ts";
import { checkHistory, type History, RULES } from "./check-history.ts";
import { collect } from "./collect.ts";
import { Crowd } from "./crowd.ts";
import { atMost } from "./judging.ts";

/**
 * All hubs of a cluster are restarted one after the other (SIGTERM, gated on readiness), again and again, under load and
 * behind its balancer. Agents follow the protocol and nothing more; the viewers whose blindness is measured are the SDK's.
 *
 *   npm run torture:rolling -- [--restarts 20] [--hubs 3] [--agents 100] [--projects 30] [--viewers 150] [--rate 200] [--seed N] [--out DIR]
 */
const { values } = parseArgs({
  options: {
    restarts: { type: "string", default: "20" },
    hubs: { type: "string", default: "3" },
    agents: { type: "string", default: "100" },
    projects: { type: "string", default: "30" },
    viewers: { type: "string", default: "150" },
    rate: { type: "string", default: "200" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
    out: { type: "string", default: "bench/results" },
  },
});
const [restarts, hubs, agents, projects, viewers, rate, seed] = [
  ...[values.restarts, values.hubs, values.agents, values.projects, values.viewers, values.rate, values.seed],
].map(Number) as [number, number, number, number, number, number, number];

const BLIND_P99_MS = 3_000;
/** A drain ends after 25 s at the latest. */
const EXIT_MS = 25_000;
/** Between one rolling restart and the next. */
const PAUSE_MS = 1_000;
const SETTLE_MS = 30_000;
const SHOWN_VIOLATIONS = 20;
const DATABASE = "rolling_restart";

const startedAt = performance.now();
const mongod = await startMongod();
const databaseUri = mongod.uri(DATABASE);
const cluster = await ClusterProcess.start(["--hubs", String(hubs)], { API_KEYS: BENCH_KEY, MONGODB_URI: databaseUri });
// However this ends, the cluster's processes must not be left.
process.once("exit", () => cluster.abandon());
const { url, balancer } = cluster.description;
console.error(`seed ${seed}: ${restarts} rolling restarts of ${hubs} hubs behind ${balancer.kind}`);

const random = new Random(seed);
const crowd = new Crowd({
  ...{
    doors: [{ hub: 0, url: url.replace(/^http/, "ws") }],
    agents,
    projects,
    viewersPerProject: 1,
    moves: true,
    random,
  },
  rest:
    ({ random: own }) =>
    () =>
      sleep(own.between(0, (2 * 1_000 * agents) / rate)),
});
const followers = Array.from({ length: viewers }, (_, index) =>
  followProject({ url, key: BENCH_KEY, projectId: crowd.projects[index % projects] ?? "" }),
);
const resets = { count: 0 };
const ages: number[] = [];
await Promise.all([crowd.isBusy(), ...followers.map((follower) => follower.ready)]);
const blind = followers.map((follower) => {
  follower.on("reset", () => {
    resets.count += 1;
  });
  // Hubs, agents and viewers share one clock here.
  follower.on("change", ({ change }) => ages.push(Date.now() - Date.parse(change.at)));
  return new BlindTimes(follower);
});

const restarted: Restarted[] = [];
const ackedBefore = crowd.ledger.counts.acked;
const busySince = performance.now();
for (let count = 1; count <= restarts; count += 1) {
  await rollingRestart(localFleet(cluster.dataDir), (hub) => restarted.push(hub));
  await sleep(PAUSE_MS);
  const soFar = percentiles(blind.flatMap(({ ms }) => ms));
  console.error(`${count}: ${crowd.ledger.counts.acked} acked, blind p99 ${Math.round(soFar.p99)} ms`);
}
const busySeconds = (performance.now() - busySince) / 1_000;
const acked = crowd.ledger.counts.acked - ackedBefore;
const { unsettled } = await crowd.settle();
const history = await collect(crowd, databaseUri);
const mirrorsApart = await countMirrorsApart(history);
for (const follower of followers) follower.close();
await crowd.leave();
const ends = cluster.events.filter(({ event }) => event === "ended");
await cluster.stop();
await mongod.stop();
report();

/** Followers that do not come to hold what the documents say. */
async function countMirrorsApart({ documents }: History): Promise<number> {
  const versions = new Map(documents.map((document) => [String(document._id), Number(document.version)]));
  const isEqual = (follower: ProjectFollower) => {
    const held = [...follower.sessions.values(), ...follower.tasks.values()];
    const inProject = [...versions.keys()].filter((id) => id.startsWith(`${follower.projectId}/`)).length;
    return held.length === inProject && held.every((entity) => versions.get(idOf(entity)) === entity.version);
  };
  await until("all mirrors are equal", () => followers.every(isEqual), SETTLE_MS).catch(() => {});
  return followers.filter((follower) => !isEqual(follower)).length;
}

function idOf(entity: { readonly project_id: string; readonly session_id: string; readonly task_id?: string }): string {
  return [entity.project_id, entity.session_id, entity.task_id].filter((part) => part !== undefined).join("/");
}

function report(): never {
  const violations = [
    ...checkHistory(history),
    ...crowd.ledger.anomalies.map((detail) => ({ rule: "agents", detail })),
  ];
  const rules = { ...RULES, agents: "agents were resumed with token and last_op, and always answered" };
  const blindMs = percentiles(blind.flatMap(({ ms }) => ms));
  const age = percentiles(ages);
  const stops = percentiles(restarted.map(({ stop_ms }) => stop_ms));
  const starts = percentiles(restarted.map(({ ready_ms }) => ready_ms));
  const badEnds = ends.filter(({ reason }) => reason !== "exit code 0").length;
  const none = (claim: string, count: number) => ({ claim, target: "0", measured: String(count), isMet: count === 0 });
  const verdicts = [
    ...Object.entries(rules).map(([rule, claim]) =>
      none(`${rule}: ${claim}`, violations.filter((violation) => violation.rule === rule).length),
    ),
    none("publishes never answered", unsettled),
    none("followers of the SDK whose mirror is not what MongoDB holds", mirrorsApart),
    atMost("viewer blind time, p99", blindMs.p99, BLIND_P99_MS, "ms"),
    atMost("SIGTERM to the end of a hub, at most", stops.max, EXIT_MS, "ms"),
    none("hubs that did not end with exit code 0", badEnds),
  ];
  publishReport(
    {
      name: "rolling-restart",
      question: `${restarts} rolling restarts of ${hubs} hubs under load: is anything lost, and how long is a viewer blind?`,
      mongodVersion: mongod.version,
      settings: {
        restarts,
        hubs,
        agents,
        projects,
        viewers,
        "publishes/s asked for": rate,
        balancer: balancer.kind,
        seed,
      },
      tables: [
        {
          title: "What happened",
          columns: ["figure", "value"],
          rows: [
            ["hubs restarted", restarted.length],
            ["publishes acked meanwhile", acked],
            ["publishes acked a second", round(acked / busySeconds)],
            ["publishes sent again", crowd.ledger.counts.resent],
            ["of these answered as duplicate (committed, ack lost)", crowd.ledger.counts.duplicates],
            ["sessions reopened with token", crowd.ledger.counts.resumed],
            ["times that a follower lost its hub", blindMs.count],
            ["of these resumed with a snapshot instead of a replay", resets.count],
            ["changes in the log", history.entries.reduce((total, { changes }) => total + changes.length, 0)],
            ["seconds", Math.round((performance.now() - startedAt) / 1_000)],
          ],
        },
        {
          title: "Times, in ms",
          columns: ["", "p50", "p90", "p99", "longest"],
          rows: (
            [
              ["a follower without its hub until it is in step again", blindMs],
              ["commit to follower, all changes", age],
              ["SIGTERM to the end of the process", stops],
              ["end to ready again", starts],
            ] as const
          ).map(([name, { p50, p90, p99, max }]) => [name, ...[p50, p90, p99, max].map(round)]),
        },
      ],
      verdicts,
      runs: { restarted, blind_ms: blind.flatMap(({ ms }) => ms), violations: violations.slice(0, 1_000) },
    },
    values.out,
  );
  for (const { rule, detail } of violations.slice(0, SHOWN_VIOLATIONS)) console.log(`${rule}: ${detail}`);
  process.exit(verdicts.every(({ isMet }) => isMet) ? 0 : 1);
}
