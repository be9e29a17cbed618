import { setTimeout as sleep } from "node:timers/promises";
import type { BeatsResult, operations as beatOperations } from "./support/beating-agents.ts";
import { BEATS, type WatchedOperations, watchOperations } from "./support/mongod-operations.ts";
import { runPairs } from "./support/pairs.ts";
import { type RunningServer, startBareSocketIo, startHub, startMongod } from "./support/processes.ts";
import { publishReport, round, type Verdict } from "./support/report.ts";
import { readSettings } from "./support/settings.ts";
import { median } from "./support/statistics.ts";
import { Worker } from "./support/worker.ts";

const settings = readSettings(
  { pairs: 5, seconds: 12, warmupSeconds: 6 },
  { agents: [5_000], "beats-per-second": [8_000] },
);
const [agents = 5_000] = settings.agents;
const [fastPace = 8_000] = settings["beats-per-second"];
/** The pace of a real fleet: each agent every five seconds. */
const realPace = agents / 5;

interface Window {
  readonly beats: BeatsResult;
  /** Absent where there is no database. */
  readonly operations?: WatchedOperations;
}

/** Two windows of one process: the pace of a real fleet, then many times that. The difference is the heartbeats'. */
interface HeartbeatsResult {
  readonly real: Window;
  readonly fast: Window;
  readonly rejected: number;
  readonly lost: number;
}

const mongod = await startMongod();
const pairs = await runPairs(
  settings.pairs,
  async (pair) => {
    const database = `beats-${pair}`;
    const hub = await startHub({ mongodbUri: mongod.uri(database) });
    return measure("state-hub", hub, async (running) => {
      const { result, operations } = await watchOperations(mongod, database, running);
      return { beats: result, operations };
    });
  },
  async () => measure("bare-socket-io", await startBareSocketIo(), async (running) => ({ beats: await running })),
  (pair, { ours, theirs }) =>
    console.error(`pair ${pair + 1}: ${round(costEach(ours))} against ${round(costEach(theirs))} µs per heartbeat`),
);

async function measure(
  driver: "state-hub" | "bare-socket-io",
  server: RunningServer,
  watch: (running: Promise<BeatsResult>) => Promise<Window>,
): Promise<HeartbeatsResult> {
  const beating = new Worker<typeof beatOperations>(new URL("./support/beating-agents.ts", import.meta.url));
  const windowAt = async (beatsPerSecond: number) => {
    await beating.call("pace", { beatsPerSecond });
    await sleep(settings.warmupSeconds * 1000);
    return watch(beating.call("measure", { windowMs: settings.seconds * 1000, pids: { hub: server.pid } }));
  };
  try {
    await beating.call("add", { driver, url: server.url, agents, projects: 20 });
    const real = await windowAt(realPace);
    const fast = await windowAt(fastPace);
    return { real, fast, ...(await beating.call("settle", null)) };
  } finally {
    await beating.stop();
    await server.stop();
  }
}

function beatsPerSecond({ beats }: Window): number {
  return beats.sent / beats.use.seconds;
}

function hubCores({ beats }: Window): number {
  return (beats.use.cpu.hub ?? 0) / beats.use.seconds;
}

/** CPU of the additional heartbeats alone, in microseconds: what the process does anyway is in both windows. */
function costEach({ real, fast }: HeartbeatsResult): number {
  return ((hubCores(fast) - hubCores(real)) / (beatsPerSecond(fast) - beatsPerSecond(real))) * 1e6;
}

/** Operations a second, the coarse write-back left out. */
function otherOperations({ beats, operations }: Window): number {
  const others = Object.entries(operations?.counts ?? {}).filter(([name]) => !name.startsWith(`${BEATS} `));
  return others.reduce((total, [, count]) => total + count, 0) / beats.use.seconds;
}

const ours = pairs.map((pair) => pair.ours);
const theirs = pairs.map((pair) => pair.theirs);
const over = (results: readonly HeartbeatsResult[], value: (result: HeartbeatsResult) => number) =>
  median(results.map(value));

const addedBeats = over(ours, ({ real, fast }) => beatsPerSecond(fast) - beatsPerSecond(real));
const addedOperations = over(ours, ({ real, fast }) => otherOperations(fast) - otherOperations(real));
const perBeat = Math.max(0, addedOperations) / addedBeats;
const largestWriteBack = Math.max(0, ...ours.flatMap(({ fast }) => fast.operations?.writeBacks ?? []));
const trouble = ours.reduce((total, { rejected, lost }) => total + rejected + lost, 0);
const cpuRatio = median(pairs.map((pair) => costEach(pair.ours) / costEach(pair.theirs)));

const atRealPace = over(ours, ({ real }) => hubCores(real));
/** Commands in a window, divided by its write-backs; nobody else writes while only heartbeats come in. */
const commandsPerWriteBack = Math.max(
  ...ours.map(
    ({ real: { operations } }) => (operations?.updateCommands ?? 0) / Math.max(1, operations?.writeBacks.length ?? 0),
  ),
);

const verdicts: Verdict[] = [
  {
    claim: `hub CPU of ${agents} agents at their interval`,
    target: "< 25 % of a core",
    measured: `${round(atRealPace * 100)} %`,
    isMet: atRealPace < 0.25,
  },
  {
    claim: "MongoDB write commands per write-back",
    target: "≤ 2",
    measured: String(round(commandsPerWriteBack)),
    isMet: commandsPerWriteBack <= 2,
  },
  {
    claim: "MongoDB operations per heartbeat, the write-back apart",
    target: "0 (below 1 in 1,000)",
    measured: String(round(perBeat)),
    isMet: perBeat < 0.001,
  },
  {
    claim: "rows of one coarse write-back, however many heartbeats",
    target: `≤ one per session (${agents})`,
    measured: String(largestWriteBack),
    isMet: largestWriteBack <= agents,
  },
  {
    claim: "CPU per heartbeat against bare Socket.IO that puts it into a Map",
    target: "written down",
    measured: `${round(cpuRatio)} ×`,
    isMet: true,
  },
  { claim: "sessions rejected or connections lost", target: "0", measured: String(trouble), isMet: trouble === 0 },
];

function mongodRow(pace: "real" | "fast"): (string | number)[] {
  const windows = ours.map((result) => result[pace]);
  const middle = (value: (window: Window) => number) => round(median(windows.map(value)));
  return [
    ...[pace, middle(beatsPerSecond), middle(otherOperations)],
    middle(({ operations }) => operations?.writeBacks.length ?? 0),
    round(median(windows.flatMap(({ operations }) => operations?.writeBacks ?? []))),
  ];
}

const { out, ...shown } = settings;
publishReport(
  {
    name: "heartbeats",
    question:
      "What does a heartbeat without ack cost the hub, and does any heartbeat reach MongoDB, apart from the coarse " +
      "write-back that comes at its own pace?",
    mongodVersion: mongod.version,
    settings: shown,
    tables: [
      {
        title: "CPU, median of the pairs",
        columns: ["side", "heartbeats/s", "µs each", "hub % core", "hub % core at the real pace", "others % core"],
        rows: ([ours, theirs] as const).map((results) => [
          results === ours ? "state-hub" : "bare Socket.IO",
          ...[round(over(results, ({ fast }) => beatsPerSecond(fast))), round(over(results, costEach))],
          round(over(results, ({ fast }) => hubCores(fast) * 100)),
          round(over(results, ({ real }) => hubCores(real) * 100)),
          round(over(results, ({ fast }) => fast.beats.use.otherCores * 100)),
        ]),
      },
      {
        title: "MongoDB, median of the pairs",
        columns: ["pace", "heartbeats/s", "operations/s but write-back", "write-backs in window", "rows each"],
        rows: [mongodRow("real"), mongodRow("fast")],
      },
    ],
    verdicts,
    runs: pairs,
  },
  out,
);
await mongod.stop();
process.exit(verdicts.every((verdict) => verdict.isMet) ? 0 : 1);
