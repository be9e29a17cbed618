import type { AgentsResult } from "./support/load-agents.ts";
import { errorCell, hubMicrosecondsPerChange, runUnderLoad } from "./support/load-runs.ts";
import { type Pair, runPairs } from "./support/pairs.ts";
import { startMongod } from "./support/processes.ts";
import { publishReport, round, type Table, type Verdict } from "./support/report.ts";
import { readSettings } from "./support/settings.ts";
import { median } from "./support/statistics.ts";

const settings = readSettings({ pairs: 5, seconds: 8, warmupSeconds: 8 }, { agents: [200, 1_000], projects: [1, 100] });
/** Times the rate of the hand-written hub, by number of agents. */
const RATE_TARGETS: Readonly<Record<number, number>> = { 200: 6, 1000: 8 };
const CPU_TARGET = 1 / 10;

const mongod = await startMongod();
const rows: (string | number)[][] = [];
const verdicts: Verdict[] = [];
const runs: Record<string, Pair<AgentsResult, AgentsResult>[]> = {};

for (const agents of settings.agents) {
  for (const projects of settings.projects) {
    const load = {
      mongod,
      agents,
      projects,
      warmupMs: settings.warmupSeconds * 1000,
      windowMs: settings.seconds * 1000,
    };
    const name = (side: string, pair: number) => `${side}-${agents}-${projects}-${pair}`;
    const pairs = await runPairs(
      settings.pairs,
      (pair) => runUnderLoad("state-hub", { ...load, database: name("hub", pair) }),
      (pair) => runUnderLoad("baseline", { ...load, database: name("base", pair) }),
      (pair, { ours, theirs }) =>
        console.error(
          `${agents} agents, ${projects} projects, pair ${pair + 1}: ` +
            `${Math.round(ours.acksPerSecond)} against ${Math.round(theirs.acksPerSecond)} changes/s`,
        ),
    );
    runs[`${agents} agents, ${projects} projects`] = pairs;
    report(agents, projects, pairs);
  }
}

function report(agents: number, projects: number, pairs: readonly Pair<AgentsResult, AgentsResult>[]): void {
  const load = `${agents} / ${projects}`;
  for (const [side, results] of [
    ["state-hub", pairs.map((pair) => pair.ours)],
    ["hand-written", pairs.map((pair) => pair.theirs)],
  ] as const) {
    const middle = (value: (result: AgentsResult) => number) => round(median(results.map(value)));
    const core = (name: string) => middle(({ use }) => ((use.cpu[name] ?? 0) / use.seconds) * 100);
    rows.push([
      ...[load, side, middle((result) => result.acksPerSecond), middle(hubMicrosecondsPerChange)],
      ...[middle(({ latencyMs }) => latencyMs.p50), middle(({ latencyMs }) => latencyMs.p99)],
      ...[core("hub"), core("mongod"), core("load"), middle(({ use }) => use.otherCores * 100), errorCell(results)],
    ]);
  }
  const rate = median(pairs.map(({ ours, theirs }) => ours.acksPerSecond / theirs.acksPerSecond));
  const cpu = median(
    pairs.map(({ ours, theirs }) => hubMicrosecondsPerChange(ours) / hubMicrosecondsPerChange(theirs)),
  );
  const target = RATE_TARGETS[agents];
  verdicts.push({
    claim: `rate, ${agents} agents on ${projects} ${projects === 1 ? "project" : "projects"}`,
    target: target === undefined ? "none" : `≥ ${target} ×`,
    measured: `${round(rate)} ×`,
    isMet: target === undefined || rate >= target,
  });
  verdicts.push({
    claim: `hub CPU per change, ${agents} agents on ${projects} ${projects === 1 ? "project" : "projects"}`,
    target: "≤ 1/10",
    measured: `1/${round(1 / cpu)}`,
    isMet: cpu <= CPU_TARGET,
  });
}

const table: Table = {
  title: "Median of the pairs",
  columns: [
    ...["agents / projects", "side", "changes/s", "hub µs/change", "ack p50 ms", "ack p99 ms"],
    ...["hub % core", "mongod % core", "load % core", "others % core", "errors"],
  ],
  rows,
};
const { out, ...shown } = settings;
publishReport(
  {
    name: "durable-changes",
    question:
      "How many durable changes a second does one hub take from closed-loop agents, and what does each cost it, " +
      "against a hand-written hub with one update and one insert per change (majority, journaled)?",
    mongodVersion: mongod.version,
    settings: { ...shown, pool: 50, change: "metadata patch of about 200 bytes" },
    tables: [table],
    verdicts,
    runs,
  },
  out,
);
await mongod.stop();
process.exit(verdicts.every((verdict) => verdict.isMet) ? 0 : 1);
