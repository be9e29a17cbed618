import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { WebSocket } from "ws";
import { applyChange } from "../../shared/apply-change.ts";
import type { Change, Session, Task } from "../../shared/entities.ts";
import { Random } from "../../test/support/random.ts";
import { BENCH_KEY, freePort, launchHub, startMongod, temporaryFolder, until } from "../support/processes.ts";
import { RawSocket } from "../support/raw-socket.ts";
import { nextFrames } from "./odd-frames.ts";

/**
 * Random frames, good, odd and broken, against a real hub, while an agent and viewers who behave are served as ever.
 * At the end their mirrors must equal a new snapshot, also after a restart of the hub.
 *
 *   node bench/torture/fuzz-frames.ts [--seconds 60] [--clients 8] [--seed N]
 */
const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    clients: { type: "string", default: "8" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
  },
});
const seed = Number(values.seed);
const PROJECTS = ["p", "q", "bystander"];
const ANSWER_MS = 5_000;

const findings: string[] = [];
const counts = { connections: 0, frames: 0, acks: 0, accepted: 0, bystander: 0 };
const random = new Random(seed);
console.error(`seed ${seed}`);

const mongod = await startMongod();
const dataDir = temporaryFolder();
const settings = { mongodbUri: mongod.uri("fuzz"), port: await freePort(), dataDir, env: { LOG_LEVEL: "error" } };
let hub = await launchHub(settings);
await hub.ready;
const mirrors = await Promise.all(PROJECTS.map((project) => follow(project)));
const rss = [await residentMegabytes(hub.pid)];
const sampling = setInterval(async () => rss.push(await residentMegabytes(hub.pid)), 10_000);
const endAt = performance.now() + Number(values.seconds) * 1_000;
const clients = Array.from({ length: Number(values.clients) }, (_, index) => disturb(index, random.fork()));
const slowest = await behave();
await Promise.all(clients);
await until("viewers are level", async () => (await differences()).length === 0, 10_000).catch(async () => {
  findings.push(...(await differences()));
});
rss.push(await residentMegabytes(hub.pid));
clearInterval(sampling);
await hub.stop();
hub = await launchHub(settings);
await hub.ready;
findings.push(...(await differences()).map((text) => `after a restart: ${text}`));
await hub.stop();
await mongod.stop();
console.log(JSON.stringify({ seed, ...counts, slowest_ms: Math.round(slowest), rss_mb: rss, findings }, null, 2));
process.exit(findings.length === 0 ? 0 : 1);

/** One client after another that says whatever its generator makes up. */
async function disturb(index: number, own: Random): Promise<void> {
  while (performance.now() < endAt) {
    const life = own.fork();
    const ws = new WebSocket(`${hub.url}/socket.io/?EIO=4&transport=websocket`, { perMessageDeflate: false });
    counts.connections += 1;
    const ended = new Promise<void>((resolve) => ws.once("close", () => resolve()));
    const joined = new Promise<void>((resolve) =>
      ws.on("message", (data: Buffer) => data.toString().startsWith("40/") && resolve()),
    );
    ws.on("error", () => {});
    ws.on("message", (data: Buffer) => judge(index, data.toString(), ws));
    const opened = await Promise.race([new Promise<boolean>((resolve) => ws.once("open", () => resolve(true))), ended]);
    if (opened !== true) {
      findings.push(`client ${index}: no connection`);
      await sleep(200);
      continue;
    }
    const namespace = life.chance(0.75) ? "/agents" : "/viewers";
    const patience = life.between(1, 150);
    for (let turn = 0; turn < patience && ws.readyState === WebSocket.OPEN && performance.now() < endAt; turn++) {
      for (const { data, fin } of nextFrames(life, BENCH_KEY, namespace, turn)) {
        counts.frames += 1;
        ws.send(data, { fin });
      }
      // An event before the answer to the CONNECT ends the connection, which is dull every time.
      if (turn === 0 && life.chance(0.95)) await Promise.race([joined, ended, sleep(300)]);
      if (life.chance(0.5)) await new Promise((resolve) => setImmediate(resolve));
      if (life.chance(0.1)) await sleep(life.between(1, 20));
    }
    if (life.chance(0.5)) ws.terminate();
    else ws.close();
    await ended;
  }
}

function judge(index: number, packet: string, ws: WebSocket): void {
  if (packet === "2" && ws.readyState === WebSocket.OPEN) ws.send("3");
  if (!packet.startsWith("43")) return;
  counts.acks += 1;
  if (packet.includes('{"ok":true')) counts.accepted += 1;
  if (packet.includes('"code":"INTERNAL"') || packet.includes(BENCH_KEY)) findings.push(`client ${index}: ${packet}`);
}

/** Publishes all the while; the slowest answer, milliseconds. */
async function behave(): Promise<number> {
  let slowest = 0;
  const agent = await RawSocket.connect({
    url: hub.url,
    namespace: "/agents",
    auth: { key: BENCH_KEY, agent_id: "good" },
  });
  await agent.request("session:open", { session_id: "good", project_id: "bystander", machine_id: "m" });
  for (let op = 1; performance.now() < endAt; op++) {
    const started = performance.now();
    const changes = [{ kind: "session", metadata: { op } }];
    const answer = await Promise.race([
      agent.request("changes:publish", { session_id: "good", incarnation: 1, op, changes }),
      sleep(ANSWER_MS),
    ]).catch((error: Error) => ({ ok: false, error: error.message }));
    slowest = Math.max(slowest, performance.now() - started);
    counts.bystander += 1;
    if (answer?.ok !== true) {
      findings.push(`the bystander's op ${op}: ${JSON.stringify(answer ?? "no answer")}`);
      if (!agent.isOpen) break;
    }
    await sleep(20);
  }
  agent.terminate();
  return slowest;
}

interface Mirror {
  readonly project: string;
  readonly entities: Map<string, Session | Task>;
}

type Entities = {
  readonly sessions: readonly Session[];
  readonly tasks: readonly Task[];
  readonly next_cursor?: string;
};

async function follow(project: string): Promise<Mirror> {
  const viewer = await RawSocket.connect({ url: hub.url, namespace: "/viewers", auth: { key: BENCH_KEY } });
  const joined = (await viewer.request("project:join", { project_id: project })) as unknown as Entities & {
    seq: number;
  };
  const entities = entitiesOf(joined);
  let next = joined.seq + 1;
  viewer.onEvent = (event, body) => {
    if (event !== "changes") return;
    const frame = body as { from_seq: number; to_seq: number; changes: readonly Change[] };
    if (frame.from_seq !== next) findings.push(`${project}: a frame from ${frame.from_seq} instead of ${next}`);
    next = frame.to_seq + 1;
    for (const change of frame.changes) {
      const key = change.kind === "session" ? change.id : `${change.session_id}/${change.id}`;
      const after = applyChange(entities.get(key), change);
      if (after === undefined) findings.push(`${project}: a change that does not apply: ${JSON.stringify(change)}`);
      else entities.set(key, after);
    }
  };
  return { project, entities };
}

function entitiesOf({ sessions, tasks }: Entities): Map<string, Session | Task> {
  return new Map<string, Session | Task>([
    ...sessions.map((session) => [session.session_id, session] as const),
    ...tasks.map((task) => [`${task.session_id}/${task.task_id}`, task] as const),
  ]);
}

/** Between what the viewers made of the frames and what a new viewer is given. */
async function differences(): Promise<string[]> {
  const found: string[] = [];
  for (const { project, entities } of mirrors) {
    const viewer = await RawSocket.connect({ url: hub.url, namespace: "/viewers", auth: { key: BENCH_KEY } });
    let page = (await viewer.request("project:join", { project_id: project })) as unknown as Entities;
    const there = entitiesOf(page);
    while (page.next_cursor !== undefined) {
      const request = { project_id: project, cursor: page.next_cursor };
      page = (await viewer.request("project:snapshot", request)) as unknown as Entities;
      for (const [key, entity] of entitiesOf(page)) there.set(key, entity);
    }
    viewer.terminate();
    for (const key of new Set([...entities.keys(), ...there.keys()])) {
      const [mirror, snapshot] = [entities.get(key), there.get(key)];
      if (!isDeepStrictEqual(mirror, snapshot)) {
        found.push(`${project} ${key}: ${JSON.stringify(mirror)} is shown as ${JSON.stringify(snapshot)}`);
      }
    }
  }
  return found.slice(0, 20);
}

async function residentMegabytes(pid: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const kilobytes = /^VmRSS:\s+(\d+)/m.exec(status)?.[1];
  return kilobytes === undefined ? undefined : Math.round(Number(kilobytes) / 1024);
}
