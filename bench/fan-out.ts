import type { DriverName } from "./support/drivers.ts";
import type { operations as loadOperations } from "./support/load-agents.ts";
import { runPairs } from "./support/pairs.ts";
import { type RunningServer, startBareSocketIo, startHub, startMongod } from "./support/processes.ts";
import { publishReport, round, type Verdict } from "./support/report.ts";
import { readSettings } from "./support/settings.ts";
import { median } from "./support/statistics.ts";
import type { ViewersResult, operations as viewerOperations } from "./support/viewers.ts";
import { Worker } from "./support/worker.ts";

const settings = readSettings(
  { pairs: 5, seconds: 6, warmupSeconds: 3 },
  { viewers: [500], "in-flight": [1, 20, 100] },
);
const [viewers = 500] = settings.viewers;

interface FanOutResult extends ViewersResult {
  readonly changesPerSecond: number;
  readonly failures: readonly string[];
}

const mongod = await startMongod();
const rows: (string | number)[][] = [];
const verdicts: Verdict[] = [];
const runs: Record<string, unknown> = {};

for (const inFlight of settings["in-flight"]) {
  const pairs = await runPairs(
    settings.pairs,
    async (pair) => {
      const hub = await startHub({ mongodbUri: mongod.uri(`hub-${inFlight}-${pair}`) });
      return measure("state-hub", hub, inFlight);
    },
    async () => measure("bare-socket-io", await startBareSocketIo(), inFlight),
    (pair, { ours, theirs }) =>
      console.error(
        `${inFlight} in flight, pair ${pair + 1}: ` +
          `${round(microsecondsPerDelivery(ours))} against ${round(microsecondsPerDelivery(theirs))} µs per delivery`,
      ),
  );
  runs[`${inFlight} in flight`] = pairs;
  report(
    inFlight,
    pairs.map((pair) => pair.ours),
    pairs.map((pair) => pair.theirs),
  );
}

async function measure(driver: DriverName, server: RunningServer, inFlight: number): Promise<FanOutResult> {
  const load = new Worker<typeof loadOperations>(new URL("./support/load-agents.ts", import.meta.url));
  const watching = new Worker<typeof viewerOperations>(new URL("./support/viewers.ts", import.meta.url));
  const window = { warmupMs: settings.warmupSeconds * 1000, windowMs: settings.seconds * 1000 };
  const { url } = server;
  try {
    await load.call("open", { driver, url, agents: inFlight, projects: 1, prefix: "fan" });
    await watching.call("join", { url, viewers, projectId: "fan-project-0" });
    const pids = { hub: server.pid, load: load.pid, ...(driver === "state-hub" ? { mongod: mongod.pid } : {}) };
    const [loaded, seen] = await Promise.all([
      load.call("measure", { ...window, pids: {} }),
      watching.call("measure", { ...window, pids }),
    ]);
    const { lowestSeq, highestSeq, failures } = await watching.call("check", null);
    const isLevel = lowestSeq === highestSeq && Object.keys(loaded.errors).length === 0;
    return {
      ...seen,
      changesPerSecond: loaded.acksPerSecond,
      failures: isLevel
        ? failures
        : [`viewers stand between ${lowestSeq} and ${highestSeq}; ${JSON.stringify(loaded.errors)}`, ...failures],
    };
  } finally {
    await watching.stop();
    await load.stop();
    await server.stop();
  }
}

function microsecondsPerDelivery({ use, delivered }: FanOutResult): number {
  return delivered === 0 ? Number.POSITIVE_INFINITY : ((use.cpu.hub ?? 0) / delivered) * 1e6;
}

function report(inFlight: number, ours: readonly FanOutResult[], theirs: readonly FanOutResult[]): void {
  for (const [side, results] of [
    ["state-hub", ours],
    ["bare Socket.IO", theirs],
  ] as const) {
    const middle = (value: (result: FanOutResult) => number) => round(median(results.map(value)));
    const core = (name: string) => middle(({ use }) => ((use.cpu[name] ?? 0) / use.seconds) * 100);
    rows.push([
      ...[inFlight, side, middle((result) => result.changesPerSecond)],
      middle(({ delivered, use }) => delivered / use.seconds),
      ...[middle((result) => result.changesPerFrame), middle(microsecondsPerDelivery)],
      ...[core("hub"), core("mongod"), core("viewers"), core("load"), middle(({ use }) => use.otherCores * 100)],
    ]);
    const failures = results.flatMap((result) => result.failures);
    verdicts.push({
      claim: `${side}, ${inFlight} in flight: every viewer got every seq`,
      target: "0 failures",
      measured: failures.length === 0 ? "0" : `${failures.length}: ${failures[0]}`,
      isMet: failures.length === 0,
    });
  }
  const ratio = median(
    ours.map((result, index) => {
      const other = theirs[index];
      return other ? microsecondsPerDelivery(result) / microsecondsPerDelivery(other) : 1;
    }),
  );
  verdicts.push({
    claim: `hub CPU per delivered change against bare Socket.IO, ${inFlight} in flight`,
    target: "written down",
    measured: ratio < 1 ? `1/${round(1 / ratio)}` : `${round(ratio)} ×`,
    isMet: true,
  });
}

const { out, ...shown } = settings;
publishReport(
  {
    name: "fan-out",
    question:
      "What does it cost the hub's process to bring one committed change to one of many viewers of a project, against " +
      "bare Socket.IO (no database, no checks) emitting each change to a room of as many sockets?",
    mongodVersion: mongod.version,
    settings: shown,
    tables: [
      {
        title: "Median of the pairs (a delivery is one change to one viewer)",
        columns: [
          ...["in flight", "side", "changes/s", "deliveries/s", "changes/frame", "hub µs/delivery"],
          ...["hub % core", "mongod % core", "viewers % core", "load % core", "others % core"],
        ],
        rows,
      },
    ],
    verdicts,
    runs,
  },
  out,
);
await mongod.stop();
process.exit(verdicts.every((verdict) => verdict.isMet) ? 0 : 1);
