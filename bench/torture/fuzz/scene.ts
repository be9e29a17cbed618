import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import mongoose from "mongoose";
import { applyChange } from "../../../shared/apply-change.ts";
import type { Change, Session, Task } from "../../../shared/entities.ts";
import type { Random } from "../../../test/support/random.ts";
import { residentBytes } from "../../support/process-usage.ts";
import { until } from "../../support/processes.ts";
import { RawSocket } from "../../support/raw-socket.ts";
import { type Percentiles, percentiles } from "../../support/statistics.ts";
import { Worker } from "../../support/worker.ts";
import { checkHistory, type Fields, type LogEntry } from "../check-history.ts";
import { BYSTANDERS_PROJECT, type Bystanders } from "./bystanders.ts";
import { PROJECTS } from "./odd-messages.ts";

/**
 * Settings of a hub that is fuzzed. Nobody is judged: sessions whose agents are gone would change by themselves while
 * mirrors are compared across a restart.
 */
export const FUZZED_HUB_ENV = {
  LOG_LEVEL: "error",
  LEASE_TTL_MS: "3600000",
  LEASE_GRACE_MS: "3600000",
  // What is odd has to be looked at: a limit would only refuse it.
  MAX_FAILED_KEYS_PER_MINUTE: "0",
  MAX_PUBLISHES_PER_SECOND: "0",
  MAX_JOINS_PER_SECOND: "0",
  MAX_KEY_REQUESTS_PER_SECOND: "0",
};

/** A hub process that is fuzzed. */
export interface FuzzedHub {
  /** `ws://127.0.0.1:PORT`. */
  readonly url: string;
  readonly pid: number;
  readonly key: string;
  readonly mongodbUri: string;
  /** Bytes that it keeps when its garbage is collected. */
  keptBytes(): Promise<number>;
  /** Ends it in order and starts it again at the same place. */
  restart(): Promise<unknown>;
}

export interface FuzzLoad {
  readonly hub: FuzzedHub;
  /** Frames or requests in all. */
  readonly count: number;
  readonly clients: number;
  readonly perSecond: number;
  readonly random: Random;
}

export interface FuzzResult {
  readonly counts: Readonly<Record<string, number>>;
  readonly findings: readonly string[];
}

export interface SceneOptions {
  readonly agents: number;
  readonly viewers: number;
  readonly everyMs: number;
  /**
   * So often in turn: the same work without a fuzz, and then a part of the fuzz beside it. What the machine does meanwhile
   * hits both.
   */
  readonly rounds: number;
  /** All that is without, together. */
  readonly calmMs: number;
  /** At the end, until what is kept for a while only has gone; then memory is looked at. */
  readonly settleMs: number;
}

export interface SceneResult extends FuzzResult {
  readonly seconds: number;
  readonly calm: Percentiles;
  readonly fuzzed: Percentiles;
  /** The same of each round. */
  readonly rounds: readonly { readonly calm: Percentiles; readonly fuzzed: Percentiles }[];
  /** Resident memory: what is kept before and after, and the most while it went on. */
  readonly rssMb: { readonly before: number; readonly highest: number; readonly after: number };
}

const LEVEL_MS = 15_000;
const SAMPLE_MS = 500;
/** The journal, the caches and V8's heap have found their size. */
const WARM_UP = 0.02;
/** After a part of the fuzz, before what goes on without it is measured. */
const REST_MS = 1_000;

/**
 * A fuzz beside people who work, in parts with calm between them. Afterwards the log must be whole, the documents must be
 * what the log says, and what viewers made of their frames must be what a new viewer is given, also after a restart of
 * the hub.
 */
export async function fuzzBesideWork(
  load: FuzzLoad,
  fuzz: (load: FuzzLoad) => Promise<FuzzResult>,
  { rounds, calmMs, settleMs, ...work }: SceneOptions,
): Promise<SceneResult> {
  const { hub } = load;
  const bystanders = new Worker<Bystanders>(new URL("./bystanders.ts", import.meta.url));
  const mirrors = await Promise.all([...PROJECTS, BYSTANDERS_PROJECT].map((project) => follow(hub, project)));
  await bystanders.call("open", { url: hub.url, key: hub.key, ...work });
  const measure = async (work: () => Promise<unknown>) => {
    await bystanders.call("begin", {});
    await work();
    return bystanders.call("end", {});
  };
  // A hub that was never fuzzed has code that was never compiled: not what a hub that runs for days would show.
  const warmUp = await fuzz({ ...load, count: Math.ceil(load.count * WARM_UP), random: load.random.fork() });
  const keptBefore = await hub.keptBytes();
  const peak = new PeakRss(hub.pid);
  const times: { readonly calm: readonly number[]; readonly fuzzed: readonly number[] }[] = [];
  const results: FuzzResult[] = [warmUp];
  let fuzzMs = 0;
  for (let round = 0; round < rounds; round++) {
    const calm = await measure(() => sleep(calmMs / rounds));
    const startedAt = performance.now();
    const part = { ...load, count: Math.ceil(load.count / rounds), random: load.random.fork() };
    const fuzzed = await measure(async () => results.push(await fuzz(part)));
    times.push({ calm, fuzzed });
    fuzzMs += performance.now() - startedAt;
    if (round < rounds - 1) await sleep(REST_MS);
  }
  const highest = peak.stop();
  await sleep(settleMs);
  const keptAfter = await hub.keptBytes();
  const { publishes, frames, failures } = await bystanders.call("finish", {});
  await bystanders.stop();

  const findings = [
    ...results.flatMap((one) => one.findings),
    ...failures,
    ...mirrors.flatMap((mirror) => mirror.faults),
  ];
  findings.push(...(await finalDifferences(hub, mirrors)));
  findings.push(...(await judgeDatabase(hub.mongodbUri, publishes)));
  for (const { socket } of mirrors) socket.terminate();
  await hub.restart();
  findings.push(...(await differences(hub, mirrors)).map((text) => `after a restart: ${text}`));
  const counts = { ...sumOf(results.slice(1)), publishes: publishes.length, viewer_frames: frames };
  const rssMb = { before: megabytes(keptBefore), highest: megabytes(highest), after: megabytes(keptAfter) };
  return {
    ...{ counts, findings, rssMb, seconds: fuzzMs / 1_000 },
    calm: percentiles(times.flatMap(({ calm }) => calm)),
    fuzzed: percentiles(times.flatMap(({ fuzzed }) => fuzzed)),
    rounds: times.map(({ calm, fuzzed }) => ({ calm: percentiles(calm), fuzzed: percentiles(fuzzed) })),
  };
}

function sumOf(results: readonly FuzzResult[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { counts } of results) {
    for (const [what, number] of Object.entries(counts)) sum[what] = (sum[what] ?? 0) + number;
  }
  return sum;
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}

/** The most that a process held in memory, looked at all the while. */
class PeakRss {
  readonly #timer: NodeJS.Timeout;
  #highest = 0;

  constructor(pid: number) {
    this.#timer = setInterval(() => {
      this.#highest = Math.max(this.#highest, residentBytes(pid));
    }, SAMPLE_MS);
  }

  stop(): number {
    clearInterval(this.#timer);
    return this.#highest;
  }
}

interface Mirror {
  readonly project: string;
  readonly socket: RawSocket;
  readonly entities: Map<string, Session | Task>;
  readonly faults: string[];
}

type Entities = {
  readonly sessions: readonly Session[];
  readonly tasks: readonly Task[];
  readonly next_cursor?: string;
};

async function follow(hub: FuzzedHub, project: string): Promise<Mirror> {
  const socket = await RawSocket.connect({ url: hub.url, namespace: "/viewers", auth: { key: hub.key } });
  const joined = await socket.request("project:join", { project_id: project });
  const entities = entitiesOf(joined as unknown as Entities);
  const faults: string[] = [];
  let next = Number(joined.seq) + 1;
  socket.onEvent = (event, body) => {
    if (event !== "changes") return;
    const frame = body as { from_seq: number; to_seq: number; changes: readonly Change[] };
    if (frame.from_seq !== next) faults.push(`${project}: a frame from ${frame.from_seq} instead of ${next}`);
    next = frame.to_seq + 1;
    for (const change of frame.changes) {
      const key = change.kind === "session" ? change.id : `${change.session_id}/${change.id}`;
      const entity = applyChange(entities.get(key), change);
      if (entity === undefined) faults.push(`${project}: a change that does not apply: ${JSON.stringify(change)}`);
      else entities.set(key, entity);
    }
  };
  return { project, socket, entities, faults };
}

function entitiesOf({ sessions, tasks }: Entities): Map<string, Session | Task> {
  return new Map<string, Session | Task>([
    ...sessions.map((session) => [session.session_id, session] as const),
    ...tasks.map((task) => [`${task.session_id}/${task.task_id}`, task] as const),
  ]);
}

/** What is still different when everything has had the time to arrive. */
async function finalDifferences(hub: FuzzedHub, mirrors: readonly Mirror[]): Promise<string[]> {
  let found: string[] = [];
  await until(
    "viewers are level",
    async () => {
      found = await differences(hub, mirrors);
      return found.length === 0;
    },
    LEVEL_MS,
  ).catch(() => {});
  return found;
}

/** Between what the viewers made of the frames and what a new viewer is given. */
async function differences(hub: FuzzedHub, mirrors: readonly Mirror[]): Promise<string[]> {
  const found: string[] = [];
  for (const { project, entities } of mirrors) {
    const viewer = await RawSocket.connect({ url: hub.url, namespace: "/viewers", auth: { key: hub.key } });
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
      if (isDeepStrictEqual(mirror, snapshot)) continue;
      found.push(`${project} ${key}: ${JSON.stringify(mirror)} is shown as ${JSON.stringify(snapshot)}`);
    }
  }
  return found.slice(0, 20);
}

type Publishes = Awaited<ReturnType<Bystanders["finish"]>>["publishes"];

/** The log of every project is whole, the documents are its fold, and the bystanders' work is in it once. */
async function judgeDatabase(uri: string, publishes: Publishes): Promise<string[]> {
  const client = new mongoose.mongo.MongoClient(uri, { readConcern: { level: "majority" } });
  try {
    const db = client.db();
    const entries = await db.collection<LogEntry>("log").find().toArray();
    const [sessions, tasks] = await Promise.all(
      ["sessions", "tasks"].map((name) => db.collection(name).find().toArray()),
    );
    const documents = [...(sessions ?? []), ...(tasks ?? [])] as unknown as Fields[];
    const isTheirs = ({ _id }: LogEntry) => _id.p === BYSTANDERS_PROJECT;
    const whole = checkHistory({ entries, publishes: [], documents, viewers: [] });
    const theirs = checkHistory({ entries: entries.filter(isTheirs), publishes, documents: [], viewers: [] });
    return [
      ...whole.filter(({ rule }) => rule !== "nothing-else"),
      ...theirs.filter(({ rule }) => rule === "acked-once" || rule === "nothing-else"),
    ].map(({ rule, detail }) => `${rule}: ${detail}`);
  } finally {
    await client.close();
  }
}
