import { setTimeout as sleep } from "node:timers/promises";
import type { BeatsResult, operations as beatOperations } from "./support/beating-agents.ts";
import type { DriverName } from "./support/drivers.ts";
import { countedBetween, countOperations, type OperationCounts } from "./support/mongod-operations.ts";
import { runPairs } from "./support/pairs.ts";
import { type RunningServer, startBareSocketIo, startHub, startMongod } from "./support/processes.ts";
import { publishReport, round, type Verdict } from "./support/report.ts";
import { readSettings } from "./support/settings.ts";
import { median } from "./support/statistics.ts";
import { Worker } from "./support/worker.ts";

const settings = readSettings(
  { pairs: 5, seconds: 10, warmupSeconds: 6 },
  { agents: [500], "beats-per-second": [8_000] },
);
const [agents = 500] = settings.agents;
const [fast = 8_000] = settings["beats-per-second"];
/** The pace of a real fleet: each agent every five seconds. */
const slow = agents / 5;
/** The coarse write-back of `beats` comes this often. */
const WRITE_BACK_SECONDS = 5;

/** Two windows of one hub process: the pace of a real fleet, then many times that. What differs is the heartbeats'. */
interface HeartbeatsResult {
  readonly slow: BeatsResult;
  readonly fast: BeatsResult;
  readonly slowOperations: OperationCounts;
  readonly fastOperations: OperationCounts;
  readonly rejected: number;
  readonly lost: number;
}

const mongod = await startMongod();
const pairs = await runPairs(
  settings.pairs,
  async (pair) => measure("state-hub", await startHub({ mongodbUri: mongod.uri(`beats-${pair}`) })),
  async () => measure("bare-socket-io", await startBareSocketIo()),
  (pair, { ours, theirs }) =>
    console.error(
      `pair ${pair + 1}: ${round(microsecondsPerBeat(ours))} against ${round(microsecondsPerBeat(theirs))} µs per heartbeat`,
    ),
);

async function measure(driver: DriverName, server: RunningServer): Promise<HeartbeatsResult> {
  const beating = new Worker<typeof beatOperations>(new URL("./support/beating-agents.ts", import.meta.url));
  const pids = { hub: server.pid, ...(driver === "state-hub" ? { mongod: mongod.pid } : {}) };
  const window = async (beatsPerSecond: number) => {
    await beating.call("pace", { beatsPerSecond });
    await sleep(settings.warmupSeconds * 1000);
    const before = await countOperations(mongod);
    const beats = await beating.call("measure", { windowMs: settings.seconds * 1000, pids });
    return { beats, operations: countedBetween(before, await countOperations(mongod)) };
  };
  try {
    await beating.call("add", { driver, url: server.url, agents, projects: 20 });
    const atSlow = await window(slow);
    const atFast = await window(fast);
    const settled = await beating.call("settle", null);
    return {
      ...{ slow: atSlow.beats, slowOperations: atSlow.operations },
      ...{ fast: atFast.beats, fastOperations: atFast.operations },
      ...settled,
    };
  } finally {
    await beating.stop();
    await server.stop();
  }
}

/** CPU of the additional heartbeats alone: what the process does anyway is in both windows. */
function microsecondsPerBeat({ slow, fast }: HeartbeatsResult): number {
  const rate = fast.sent / fast.use.seconds - slow.sent / slow.use.seconds;
  const cores = (fast.use.cpu.hub ?? 0) / fast.use.seconds - (slow.use.cpu.hub ?? 0) / slow.use.seconds;
  return (cores / rate) * 1e6;
}

function operationsPerSecond(operations: OperationCounts, seconds: number, prefix: string): number {
  const matching = Object.entries(operations).filter(([name]) => name.startsWith(prefix));
  return matching.reduce((total, [, count]) => total + count, 0) / seconds;
}

const ours = pairs.map((pair) => pair.ours);
const theirs = pairs.map((pair) => pair.theirs);
const over = <T>(results: readonly T[], value: (result: T) => number) => median(results.map(value));

const rows = [["state-hub", ours] as const, ["bare Socket.IO", theirs] as const].map(([side, results]) => [
  side,
  round(over(results, ({ fast }) => fast.sent / fast.use.seconds)),
  round(over(results, microsecondsPerBeat)),
  round(over(results, ({ fast }) => ((fast.use.cpu.hub ?? 0) / fast.use.seconds) * 100)),
  round(over(results, ({ slow }) => ((slow.use.cpu.hub ?? 0) / slow.use.seconds) * 100)),
  round(over(results, ({ fast }) => fast.use.otherCores * 100)),
]);

// Reads and writes that would not be there with fewer heartbeats: the same second of the same hub costs the same.
const rowsAt = (
  operations: (result: HeartbeatsResult) => OperationCounts,
  beats: (result: HeartbeatsResult) => BeatsResult,
) => over(ours, (result) => operationsPerSecond(operations(result), beats(result).use.seconds, "rows."));
const slowRows = rowsAt(
  (result) => result.slowOperations,
  (result) => result.slow,
);
const fastRows = rowsAt(
  (result) => result.fastOperations,
  (result) => result.fast,
);
const addedBeats = over(ours, ({ slow, fast }) => fast.sent / fast.use.seconds - slow.sent / slow.use.seconds);
const perBeat = Math.max(0, fastRows - slowRows) / addedBeats;
const updates = over(ours, ({ fastOperations, fast }) =>
  operationsPerSecond(fastOperations, fast.use.seconds, "rows.update"),
);
const commands = over(ours, ({ fastOperations, fast }) =>
  operationsPerSecond(fastOperations, fast.use.seconds, "command.update"),
);
const trouble = ours.reduce((total, { rejected, lost }) => total + rejected + lost, 0);
const cpuRatio = median(pairs.map((pair) => microsecondsPerBeat(pair.ours) / microsecondsPerBeat(pair.theirs)));

const verdicts: Verdict[] = [
  {
    claim: "MongoDB rows read or written per additional heartbeat",
    target: "0 (below 1 in 1,000)",
    measured: String(round(perBeat)),
    isMet: perBeat < 0.001,
  },
  {
    claim: `rows of the coarse write-back, per ${WRITE_BACK_SECONDS} s`,
    target: `about one per session (${agents})`,
    measured: `${round(updates * WRITE_BACK_SECONDS)} rows in ${round(commands * WRITE_BACK_SECONDS)} update commands`,
    isMet: updates * WRITE_BACK_SECONDS <= agents * 1.5,
  },
  {
    claim: "CPU per heartbeat against bare Socket.IO that puts it into a Map",
    target: "written down",
    measured: `${round(cpuRatio)} ×`,
    isMet: true,
  },
  { claim: "sessions rejected or connections lost", target: "0", measured: String(trouble), isMet: trouble === 0 },
];

const { out, ...shown } = settings;
publishReport(
  {
    name: "heartbeats",
    question:
      "What does a heartbeat without ack cost the hub, and does any heartbeat reach MongoDB, apart from the coarse " +
      "write-back that comes at its own pace?",
    mongodVersion: mongod.version,
    settings: { ...shown, "slow beats/s": slow },
    tables: [
      {
        title: "CPU, median of the pairs",
        columns: ["side", "heartbeats/s", "µs each", "hub % core", "hub % core at the slow pace", "others % core"],
        rows,
      },
      {
        title: "MongoDB operations of the hub a second, median of the pairs",
        columns: ["pace", "heartbeats/s", "rows read or written", "of these updates", "update commands"],
        rows: [
          [
            "real fleet",
            slow,
            round(slowRows),
            round(
              over(ours, ({ slowOperations, slow }) =>
                operationsPerSecond(slowOperations, slow.use.seconds, "rows.update"),
              ),
            ),
            round(
              over(ours, ({ slowOperations, slow }) =>
                operationsPerSecond(slowOperations, slow.use.seconds, "command.update"),
              ),
            ),
          ],
          ["fast", fast, round(fastRows), round(updates), round(commands)],
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
