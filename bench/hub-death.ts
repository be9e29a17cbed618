import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import mongoose from "mongoose";
import { type CpuUse, cpuBetween, sampleCpu } from "./support/process-usage.ts";
import { BENCH_KEY, type RunningServer, startHub, startMongod, until } from "./support/processes.ts";
import { RawSocket } from "./support/raw-socket.ts";
import { publishReport, round, type Verdict } from "./support/report.ts";

/**
 * `kill -9` of one hub of four, then of two more at once. The agents of a killed hub do not come back; those of the last
 * hub send their heartbeats all the time.
 *
 *   node bench/hub-death.ts [--sessions 10000] [--projects 50] [--grace-ms 10000] [--out DIR]
 */
const { values } = parseArgs({
  options: {
    sessions: { type: "string", default: "10000" },
    projects: { type: "string", default: "50" },
    "grace-ms": { type: "string", default: "10000" },
    out: { type: "string", default: "bench/results" },
  },
});
const sessions = Number(values.sessions);
const projects = Number(values.projects);
const graceMs = Number(values["grace-ms"]);

const DATABASE = "hub-death";
const SESSIONS_PER_CONNECTION = 200;
const OPENS_AT_ONCE = 4;
/** The hubs' own defaults. */
const INTERVAL_MS = 5_000;
const TTL_MS = 15_000;
/** After the grace: the hub's row stands still for 3 s, and then its sessions have to be judged. */
const ALLOWED_MS = 5_000;
const PATIENCE_MS = graceMs + 60_000;

interface LogDocument {
  readonly _id: { readonly p: string };
  readonly hub_id: string;
  readonly changes: readonly { readonly id: string; readonly type: string; readonly patch?: { liveness?: string } }[];
}

interface Kill {
  readonly hubs: number;
  readonly sessions: number;
  readonly firstMs: number;
  readonly lastMs: number;
  /** From the first to the last. */
  readonly use: CpuUse;
}

const mongod = await startMongod();
const client = new mongoose.mongo.MongoClient(mongod.uri(DATABASE));
const db = client.db();
const env = { LEASE_GRACE_MS: String(graceMs) };
const hubs = await Promise.all([1, 2, 3, 4].map(() => startHub({ mongodbUri: mongod.uri(DATABASE), env })));
const startedAt = performance.now();
const quarter = Math.ceil(sessions / 4);
const shares = [sessions, quarter, quarter, quarter];
for (const [index, hub] of hubs.entries()) await openSessions(hub, `h${index}`, shares[index] ?? 0);
console.error(`sessions open after ${round((performance.now() - startedAt) / 1000)} s`);
// Hubs that have just begun wait longer: agents would need the time to come back to them.
await sleep(Math.max(0, TTL_MS + graceMs - (performance.now() - startedAt)));

const killed: RunningServer[] = [];
const [first, second, third] = hubs as [RunningServer, RunningServer, RunningServer];
const kills = [await kill([first], ["h0"], sessions), await kill([second, third], ["h1", "h2"], 2 * quarter)];

// Whoever has survived goes on beating for as long as a false verdict would need.
await sleep(TTL_MS + graceMs);
const entries = await db.collection<LogDocument>("log").find().toArray();
await client.close();
await Promise.all(hubs.map((hub) => hub.stop()));
await mongod.stop();
report(entries);

/** Sessions of one hub, 200 to a connection, each connection in one project, with heartbeats from now on. */
async function openSessions(hub: RunningServer, name: string, count: number): Promise<void> {
  const connections = Array.from({ length: Math.ceil(count / SESSIONS_PER_CONNECTION) }, (_, index) => index);
  const openNext = async () => {
    for (let index = connections.shift(); index !== undefined; index = connections.shift()) {
      const from = index * SESSIONS_PER_CONNECTION;
      const ids = Array.from(
        { length: Math.min(SESSIONS_PER_CONNECTION, count - from) },
        (_, offset) => `${name}-${from + offset}`,
      );
      await openConnection(hub, `${name}-agent-${index}`, `project-${index % projects}`, ids);
    }
  };
  await Promise.all(Array.from({ length: OPENS_AT_ONCE }, openNext));
}

async function openConnection(hub: RunningServer, agentId: string, project: string, ids: readonly string[]) {
  const auth = { key: BENCH_KEY, agent_id: agentId };
  const socket = await RawSocket.connect({ url: hub.url, namespace: "/agents", auth });
  const beat = () => socket.send("heartbeat", { sessions: ids.map((session_id) => ({ session_id, incarnation: 1 })) });
  const timer = setInterval(beat, INTERVAL_MS);
  socket.onClose = () => clearInterval(timer);
  const acks = await Promise.all(
    ids.map((session_id) => socket.request("session:open", { session_id, project_id: project, machine_id: "bench" })),
  );
  const refused = acks.find(({ ok }) => !ok);
  if (refused !== undefined) throw new Error(`session:open refused: ${JSON.stringify(refused.error)}`);
}

/** Kills the hubs and waits until all their sessions are `lost`. */
async function kill(dying: readonly RunningServer[], names: readonly string[], expected: number): Promise<Kill> {
  const documents = db.collection("sessions");
  const ofName = (name: string) => documents.findOne({ session_id: `${name}-0` });
  const hubIds = (await Promise.all(names.map(ofName))).map((session) => session?.hub_id as string);
  const living = hubs.filter((hub) => !dying.includes(hub) && !killed.includes(hub));
  const sample = () =>
    sampleCpu({
      mongod: mongod.pid,
      load: process.pid,
      ...Object.fromEntries(living.map((hub, index) => [`hub ${index}`, hub.pid])),
    });
  // One key of an index is looked at: a count would be load.
  const has = async (...liveness: readonly string[]) =>
    (await documents.findOne({ liveness: { $in: liveness }, hub_id: { $in: hubIds } }, { projection: { _id: 1 } })) !==
    null;
  killed.push(...dying);
  await Promise.all(dying.map((hub) => hub.kill()));
  const killedAt = performance.now();
  const isLost = async (what: string, condition: () => Promise<boolean>) => {
    await until(what, condition, PATIENCE_MS);
    return { ms: performance.now() - killedAt, cpu: sample() };
  };
  const first = await isLost("the first session is lost", () => has("lost"));
  const last = await isLost("all sessions are lost", async () => !(await has("online", "stale")));
  const sessions = await documents.countDocuments({ liveness: "lost", hub_id: { $in: hubIds } });
  if (sessions !== expected) throw new Error(`${sessions} of ${expected} sessions are lost`);
  console.error(`${dying.length} killed: ${sessions} lost after ${round(last.ms / 1000)} s`);
  return { hubs: dying.length, sessions, firstMs: first.ms, lastMs: last.ms, use: cpuBetween(first.cpu, last.cpu) };
}

function report(log: readonly LogDocument[]): void {
  const changes = new Map<string, number>();
  const judges = new Set<string>();
  let survivorsJudged = 0;
  for (const entry of log) {
    for (const { id, type } of entry.changes) {
      if (type !== "liveness") continue;
      changes.set(id, (changes.get(id) ?? 0) + 1);
      judges.add(entry.hub_id);
      if (id.startsWith("h3-")) survivorsJudged += 1;
    }
  }
  const most = Math.max(0, ...changes.values());
  const judged = kills.reduce((sum, killed) => sum + killed.sessions, 0);
  const verdicts: Verdict[] = [
    ...kills.map((killed) => ({
      claim: `${killed.sessions} sessions of ${killed.hubs} killed hub(s) lost`,
      target: `≤ grace + ${ALLOWED_MS / 1000} s`,
      measured: `grace + ${round((killed.lastMs - graceMs) / 1000)} s`,
      isMet: killed.lastMs <= graceMs + ALLOWED_MS,
    })),
    {
      claim: "none of them before the grace was over",
      target: `> ${graceMs / 1000} s`,
      measured: `${round(Math.min(...kills.map(({ firstMs }) => firstMs)) / 1000)} s`,
      isMet: kills.every(({ firstMs }) => firstMs > graceMs),
    },
    {
      claim: "changes of liveness for each of them",
      target: "exactly 1",
      measured: `${changes.size} sessions, at most ${most}`,
      isMet: most === 1 && changes.size === judged,
    },
    {
      claim: `verdicts on the ${quarter} sessions of the hub that stays`,
      target: "0",
      measured: String(survivorsJudged),
      isMet: survivorsJudged === 0,
    },
  ];
  publishReport(
    {
      name: "hub-death",
      question:
        "One hub of four is killed (kill -9), then two more: when are their sessions lost, and is each of them told so once?",
      mongodVersion: mongod.version,
      settings: {
        sessions,
        projects,
        "grace ms": graceMs,
        "ttl ms": TTL_MS,
        "sessions per connection": SESSIONS_PER_CONNECTION,
      },
      tables: [
        {
          title: "From the kill, in seconds",
          columns: ["killed at once", "their sessions", "first lost", "last lost", "last lost after the grace"],
          rows: kills.map((killed) => [
            ...[killed.hubs, killed.sessions, round(killed.firstMs / 1000), round(killed.lastMs / 1000)],
            round((killed.lastMs - graceMs) / 1000),
          ]),
        },
        {
          title: "While they were judged, % of a core",
          columns: ["killed at once", "mongod", "all hubs left", "others"],
          rows: kills.map(({ hubs, use: { cpu, seconds, otherCores } }) => {
            const ofHubs = Object.entries(cpu).filter(([name]) => name.startsWith("hub"));
            const percent = (used: number) => round((used / seconds) * 100);
            return [
              ...[hubs, percent(cpu.mongod ?? 0), percent(ofHubs.reduce((sum, [, used]) => sum + used, 0))],
              round(otherCores * 100),
            ];
          }),
        },
        { title: "Judges", columns: ["hubs that declared sessions lost"], rows: [[judges.size]] },
      ],
      verdicts,
      runs: kills,
    },
    values.out,
  );
  process.exit(verdicts.every((verdict) => verdict.isMet) ? 0 : 1);
}
