import { parseArgs } from "node:util";
import { Random } from "../../test/support/random.ts";
import { BENCH_KEY, freePort, launchHub, startMongod, temporaryFolder } from "../support/processes.ts";
import { publishReport, round, type Table, type Verdict } from "../support/report.ts";
import { median } from "../support/statistics.ts";
import { fuzzFrames } from "./fuzz/fuzz-frames.ts";
import { fuzzHttp } from "./fuzz/fuzz-http.ts";
import { keptBytes } from "./fuzz/kept-memory.ts";
import { FUZZED_HUB_ENV, type FuzzedHub, fuzzBesideWork, type SceneResult } from "./fuzz/scene.ts";

const HELP = `Frames and HTTP requests that no client sends, against a real hub, beside agents and viewers who work.

  npm run fuzz -- [frames|http] [options]         both, one after the other, when neither is named

  --count N     frames or requests in all (default: 100,000 frames, 20,000 requests)
  --seed N      the same seed, the same frames and requests (default: the time)
  --clients N   connections at once (default: 8)
  --rate N      frames or requests a second; 0: as many as go (default: 500 frames, 200 requests)
  --calm S      seconds in all, between parts of the fuzz, in which the same is measured without (default: 60)
  --out DIR     folder for fuzz.md and fuzz.json (default: bench/results)
  --json        the results as JSON on stdout instead of the page
  --help        this

Exit code 1: something was found, or a promise about memory or answer times was missed.`;

const KINDS = {
  frames: { fuzz: fuzzFrames, count: 100_000, rate: 500 },
  http: { fuzz: fuzzHttp, count: 20_000, rate: 200 },
} as const;
type Kind = keyof typeof KINDS;

/** Load L0: enough to see whether anybody is hurt. */
const WORK = { agents: 20, viewers: 10, everyMs: 250, rounds: 10 };
/** Snapshots are kept for a minute, and looked at four times in it. */
const SETTLE_MS = 80_000;
const RSS_MB = 50;
const SLOWDOWN = 3;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    count: { type: "string" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
    clients: { type: "string", default: "8" },
    rate: { type: "string" },
    calm: { type: "string", default: "60" },
    out: { type: "string", default: "bench/results" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (values.help) console.log(HELP);
else await main();

async function main(): Promise<void> {
  const kinds = positionals.length === 0 ? (Object.keys(KINDS) as Kind[]) : positionals.map(kindOf);
  const loads = kinds.map((kind) => ({
    kind,
    count: values.count === undefined ? KINDS[kind].count : whole("count", values.count),
    perSecond: values.rate === undefined ? KINDS[kind].rate : whole("rate", values.rate),
  }));
  const seed = whole("seed", values.seed);
  const clients = whole("clients", values.clients);
  const calmMs = 1_000 * whole("calm", values.calm);
  console.error(`seed ${seed}`);
  const mongod = await startMongod();
  const results: { kind: Kind; result: SceneResult }[] = [];
  for (const { kind, ...load } of loads) {
    const hub = await startFuzzedHub(mongod.uri(`fuzz_${kind}`));
    const random = new Random(seed);
    const result = await fuzzBesideWork({ ...load, hub, clients, random }, KINDS[kind].fuzz, {
      ...WORK,
      calmMs,
      settleMs: SETTLE_MS,
    });
    results.push({ kind, result });
    await hub.stop();
  }
  await mongod.stop();
  report(results, mongod.version, { seed, clients, ...WORK });
  process.exit(results.every(({ kind, result }) => verdictsOf(kind, result).every(({ isMet }) => isMet)) ? 0 : 1);
}

async function startFuzzedHub(mongodbUri: string): Promise<FuzzedHub & { stop(): Promise<void> }> {
  const inspectPort = await freePort();
  const env = { ...FUZZED_HUB_ENV, NODE_OPTIONS: `--inspect-port=127.0.0.1:${inspectPort}` };
  const settings = { mongodbUri, port: await freePort(), dataDir: temporaryFolder(), env };
  const start = async () => {
    const started = await launchHub(settings);
    await started.ready;
    return started;
  };
  let running = await start();
  return {
    url: running.url,
    pid: running.pid,
    key: BENCH_KEY,
    mongodbUri,
    keptBytes: () => keptBytes(running.pid, inspectPort),
    restart: async () => {
      await running.stop();
      running = await start();
    },
    stop: () => running.stop(),
  };
}

function report(
  results: readonly { kind: Kind; result: SceneResult }[],
  mongodVersion: string,
  settings: object,
): void {
  const latencies: Table = {
    title: "The bystanders' publishes, ms",
    columns: ["fuzz", "phase", "publishes", "p50", "p90", "p99", "max"],
    rows: results.flatMap(({ kind, result: { calm, fuzzed } }) =>
      [["without", calm] as const, ["fuzz", fuzzed] as const].map(([phase, { count, p50, p90, p99, max }]) => [
        kind,
        phase,
        count,
        round(p50),
        round(p90),
        round(p99),
        round(max),
      ]),
    ),
  };
  const byRound: Table = {
    title: "Their p99 in each round, ms: a machine with neighbours is slow for a while, with the fuzz and without",
    columns: ["fuzz", "round", "without", "fuzz", "times"],
    rows: results.flatMap(({ kind, result: { rounds } }) =>
      rounds.map(({ calm, fuzzed }, index) => [
        ...[kind, index + 1, round(calm.p99), round(fuzzed.p99), round(fuzzed.p99 / calm.p99)],
      ]),
    ),
  };
  const work: Table = {
    title: "What was sent and answered",
    columns: ["fuzz", "seconds", "what", "number"],
    rows: results.flatMap(({ kind, result }) =>
      Object.entries(result.counts).map(([what, number]) => [kind, Math.round(result.seconds), what, number]),
    ),
  };
  const findings: Table = {
    title: "Findings",
    columns: ["fuzz", "finding"],
    rows: results.flatMap(({ kind, result }) =>
      result.findings.slice(0, 50).map((finding) => [kind, finding.replaceAll("|", "\\|")]),
    ),
  };
  const page = {
    name: "fuzz",
    question: "Does any frame or request, however odd, end the hub, hurt others, stay in memory or come back changed?",
    mongodVersion,
    settings: settings as Readonly<Record<string, unknown>>,
    tables: [latencies, byRound, work, ...(findings.rows.length === 0 ? [] : [findings])],
    verdicts: results.flatMap(({ kind, result }) => verdictsOf(kind, result)),
    runs: results,
  };
  // The report prints its page: with --json stdout belongs to the program that reads it.
  const print = console.log;
  if (values.json) console.log = () => {};
  publishReport(page, values.out);
  console.log = print;
  if (values.json) console.log(JSON.stringify({ settings, verdicts: page.verdicts, runs: results }, null, 2));
}

function verdictsOf(kind: Kind, { calm, fuzzed, rounds, rssMb, findings }: SceneResult): Verdict[] {
  // Each round beside itself: all together would show the worst minute of the machine's neighbours, whichever side had it.
  const slowdown = median(rounds.map((one) => one.fuzzed.p99 / one.calm.p99));
  const growth = rssMb.after - rssMb.before;
  return [
    {
      claim: `${kind}: nothing is found: the hub lives and answers, the log is whole, mirrors are right`,
      target: "0 findings",
      measured: String(findings.length),
      isMet: findings.length === 0,
    },
    {
      claim: `${kind}: memory that is kept`,
      target: `+< ${RSS_MB} MB`,
      measured: `${rssMb.before} MB before, ${rssMb.after} after (${rssMb.highest} at most meanwhile)`,
      isMet: growth < RSS_MB,
    },
    {
      claim: `${kind}: bystanders' p99, median of the rounds`,
      target: `< ${SLOWDOWN} × without`,
      measured: `${round(slowdown)} × (all rounds together ${round(fuzzed.p99)} ms, without ${round(calm.p99)} ms)`,
      isMet: slowdown < SLOWDOWN,
    },
  ];
}

function kindOf(word: string): Kind {
  if (word in KINDS) return word as Kind;
  return wrong(`there is no fuzz of ${word}; frames or http`);
}

function whole(name: string, text: string): number {
  return /^\d{1,10}$/.test(text) ? Number(text) : wrong(`--${name} must be a whole number, not "${text}"`);
}

function wrong(message: string): never {
  console.error(`fuzz: ${message}; --help shows what there is`);
  process.exit(2);
}
