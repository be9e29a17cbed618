import { setTimeout as sleep } from "node:timers/promises";
import type { operations as beatOperations } from "./support/beating-agents.ts";
import type { DriverName } from "./support/drivers.ts";
import { runPairs } from "./support/pairs.ts";
import { residentBytes } from "./support/process-usage.ts";
import { type RunningServer, startBareSocketIo, startHub, startMongod } from "./support/processes.ts";
import { publishReport, round } from "./support/report.ts";
import { readSettings } from "./support/settings.ts";
import { median } from "./support/statistics.ts";
import { Worker } from "./support/worker.ts";

const settings = readSettings({ pairs: 5, seconds: 6, warmupSeconds: 1 }, { agents: [500, 1_000, 2_000] });

/** Resident memory at 0 agents and at each step. */
interface MemoryResult {
  readonly emptyBytes: number;
  readonly steps: readonly { readonly agents: number; readonly bytes: number }[];
}

const mongod = await startMongod();
const pairs = await runPairs(
  settings.pairs,
  async (pair) => measure("state-hub", await startHub({ mongodbUri: mongod.uri(`memory-${pair}`) })),
  async () => measure("bare-socket-io", await startBareSocketIo()),
  (pair, { ours, theirs }) =>
    console.error(
      `pair ${pair + 1}: ${round(kilobytesEach(ours))} against ${round(kilobytesEach(theirs))} KB per agent`,
    ),
);

async function measure(driver: DriverName, server: RunningServer): Promise<MemoryResult> {
  const agents = new Worker<typeof beatOperations>(new URL("./support/beating-agents.ts", import.meta.url));
  try {
    await sleep(settings.warmupSeconds * 1000);
    const emptyBytes = await lowestResident(server.pid);
    const steps = [];
    for (const count of settings.agents) {
      await agents.call("add", { driver, url: server.url, agents: count, projects: 20 });
      await agents.call("pace", { beatsPerSecond: count / 5 });
      steps.push({ agents: count, bytes: await lowestResident(server.pid) });
    }
    const { rejected, lost } = await agents.call("settle", null);
    if (rejected + lost > 0) throw new Error(`${rejected} sessions rejected, ${lost} connections lost`);
    return { emptyBytes, steps };
  } finally {
    await agents.stop();
    await server.stop();
  }
}

/** The lowest figure seen while the agents only beat: what stays after the garbage of opening is collected. */
async function lowestResident(pid: number): Promise<number> {
  let lowest = Number.POSITIVE_INFINITY;
  const deadline = performance.now() + settings.seconds * 1000;
  while (performance.now() < deadline) {
    await sleep(200);
    lowest = Math.min(lowest, residentBytes(pid));
  }
  return lowest;
}

/** From nobody to the last step. */
function kilobytesEach({ emptyBytes, steps }: MemoryResult): number {
  const last = steps.at(-1);
  return last ? (last.bytes - emptyBytes) / last.agents / 1024 : 0;
}

const megabytes = (bytes: number) => round(bytes / 2 ** 20);
const { out, ...shown } = settings;
publishReport(
  {
    name: "memory",
    question:
      "How much resident memory does the hub's process need for each connected agent with one open session that " +
      "beats every five seconds, against a bare Socket.IO connection?",
    mongodVersion: mongod.version,
    settings: shown,
    tables: [
      {
        title: "Median of the pairs",
        columns: ["side", "empty MB", ...settings.agents.map((count) => `${count} agents MB`), "KB per agent"],
        rows: (["ours", "theirs"] as const).map((side) => {
          const results = pairs.map((pair) => pair[side]);
          return [
            side === "ours" ? "state-hub" : "bare Socket.IO",
            megabytes(median(results.map((result) => result.emptyBytes))),
            ...settings.agents.map((_, step) => megabytes(median(results.map(({ steps }) => steps[step]?.bytes ?? 0)))),
            round(median(results.map(kilobytesEach))),
          ];
        }),
      },
    ],
    verdicts: [
      {
        claim: "memory per agent with a session against a bare connection",
        target: "written down",
        measured: `${round(median(pairs.map(({ ours, theirs }) => kilobytesEach(ours) / kilobytesEach(theirs))))} ×`,
        isMet: true,
      },
    ],
    runs: pairs,
  },
  out,
);
await mongod.stop();
process.exit(0);
