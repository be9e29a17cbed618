import type { AgentsResult } from "./support/load-agents.ts";
import { errorCell, runUnderLoad } from "./support/load-runs.ts";
import { runPairs } from "./support/pairs.ts";
import { startMongod } from "./support/processes.ts";
import type { InsertsResult, operations as insertOperations } from "./support/raw-inserts.ts";
import { publishReport, round, type Verdict } from "./support/report.ts";
import { readSettings } from "./support/settings.ts";
import { median, type Percentiles } from "./support/statistics.ts";
import { Worker } from "./support/worker.ts";

const settings = readSettings({ pairs: 5, seconds: 10, warmupSeconds: 4 }, { agents: [20], projects: [1] });
const TARGETS = { p50: 2, p99: 2.5 };
const [agents = 20] = settings.agents;
const [projects = 1] = settings.projects;
const window = { warmupMs: settings.warmupSeconds * 1000, windowMs: settings.seconds * 1000 };

const mongod = await startMongod();
const pairs = await runPairs(
  settings.pairs,
  (pair) => runUnderLoad("state-hub", { mongod, database: `hub-${pair}`, agents, projects, ...window }),
  (pair) => insertRaw(`raw-${pair}`),
  (pair, { ours, theirs }) =>
    console.error(
      `pair ${pair + 1}: ack p50 ${round(ours.latencyMs.p50)} p99 ${round(ours.latencyMs.p99)} ms, ` +
        `raw insert p50 ${round(theirs.latencyMs.p50)} p99 ${round(theirs.latencyMs.p99)} ms`,
    ),
);

async function insertRaw(database: string): Promise<InsertsResult> {
  const inserts = new Worker<typeof insertOperations>(new URL("./support/raw-inserts.ts", import.meta.url));
  try {
    const mongodPid = mongod.pid;
    return await inserts.call("measure", { uri: mongod.uri(database), concurrency: agents, ...window, mongodPid });
  } finally {
    await inserts.stop();
  }
}

const ours: readonly AgentsResult[] = pairs.map((pair) => pair.ours);
const theirs: readonly InsertsResult[] = pairs.map((pair) => pair.theirs);

function row(side: string, rates: readonly number[], results: readonly { latencyMs: Percentiles }[]) {
  const middle = (pick: (latency: Percentiles) => number) =>
    round(median(results.map(({ latencyMs }) => pick(latencyMs))));
  const { p50, p90, p99, max } = {
    p50: middle((latency) => latency.p50),
    p90: middle((latency) => latency.p90),
    p99: middle((latency) => latency.p99),
    max: middle((latency) => latency.max),
  };
  return [side, round(median(rates)), p50, p90, p99, max];
}

const verdicts = (["p50", "p99"] as const).map((name): Verdict => {
  const ratio = median(pairs.map((pair) => pair.ours.latencyMs[name] / pair.theirs.latencyMs[name]));
  return {
    claim: `ack ${name} against a raw journaled insert, ${agents} at a time`,
    target: `≤ ${TARGETS[name]} ×`,
    measured: `${round(ratio)} ×`,
    isMet: ratio <= TARGETS[name],
  };
});

const { out, ...shown } = settings;
publishReport(
  {
    name: "ack-latency",
    question:
      "How long does an agent wait until its change is durable, against the same number of concurrent raw journaled " +
      "inserts into the same MongoDB?",
    mongodVersion: mongod.version,
    settings: { ...shown, change: "metadata patch of about 200 bytes", errors: errorCell(ours) },
    tables: [
      {
        title: "Median of the pairs, milliseconds",
        columns: ["side", "per second", "p50", "p90", "p99", "max"],
        rows: [
          row(
            "state-hub ack",
            ours.map((result) => result.acksPerSecond),
            ours,
          ),
          row(
            "raw insert",
            theirs.map((result) => result.insertsPerSecond),
            theirs,
          ),
        ],
      },
    ],
    verdicts,
    runs: pairs,
  },
  out,
);
await mongod.stop();
process.exit(verdicts.every((verdict) => verdict.isMet) ? 0 : 1);
