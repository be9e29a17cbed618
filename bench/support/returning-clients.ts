import { setTimeout as sleep } from "node:timers/promises";
import { askedPauseMs, backoffMs } from "../../client/backoff.ts";
import { type FrameHead, frameHead } from "./frame-head.ts";
import { BENCH_KEY } from "./processes.ts";
import { type Ack, ConnectRefused, RawSocket } from "./raw-socket.ts";
import { type Percentiles, percentiles } from "./statistics.ts";
import { serve } from "./worker.ts";

/**
 * Agents with a session each, and viewers, that come back by themselves when their hub is gone: to the next hub, with
 * the pauses of the SDK, with `incarnation` and `token` or with `since`.
 */
export interface OpenClients {
  /** The first one is connected to, the next ones are where they go when it is gone. */
  readonly urls: readonly string[];
  readonly role: "agent" | "viewer";
  readonly clients: number;
  /** Clients are dealt to the projects in turn. */
  readonly projects: number;
}

export interface Returned {
  /** All have come back. */
  readonly isComplete: boolean;
  /** From the given time to the answer to `session:open` or `project:join`, of those who are back. */
  readonly backAfterMs: Percentiles;
  /** Connections refused, failed before an answer, and requests refused, by code. */
  readonly refusals: Readonly<Record<string, number>>;
  /** What they came back to: `resumed`, `replay`, `snapshot`, …, counted. */
  readonly how: Readonly<Record<string, number>>;
}

/** Where the viewers of a project stand. */
export interface Positions {
  readonly lowest: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
}

const STARTING_AT_ONCE = 50;
const BEAT_EVERY_MS = 5_000;
const BEAT_TICK_MS = 50;
const MAX_FAILURES = 10;

export function projectOf(index: number, projects: number): string {
  return `storm-${index % projects}`;
}

abstract class Client {
  readonly index: number;
  readonly projectId: string;
  /** Milliseconds since 1970 of the last answer that made it whole. */
  backAt = 0;
  protected socket: RawSocket | undefined;
  readonly #urls: readonly string[];
  #hub = 0;

  constructor(index: number, { urls, projects }: OpenClients) {
    this.index = index;
    this.#urls = urls;
    this.projectId = projectOf(index, projects);
  }

  abstract readonly namespace: "/agents" | "/viewers";
  abstract readonly auth: Readonly<Record<string, unknown>>;
  /** Opens the session or joins the project; resolves with what it came back to, or the refusal. */
  protected abstract begin(socket: RawSocket): Promise<string | Ack>;

  /** Tries until it is in. */
  async connect(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const pauseMs = await this.#try(attempt);
      if (pauseMs === undefined) return;
      await sleep(pauseMs);
    }
  }

  async #try(attempt: number): Promise<number | undefined> {
    try {
      const url = this.#urls[this.#hub % this.#urls.length] ?? "";
      const socket = await RawSocket.connect({ url, namespace: this.namespace, auth: this.auth });
      socket.onClose = () => this.#lost(socket);
      this.socket = socket;
      const how = await this.begin(socket);
      if (typeof how === "string") {
        count(counted.how, how);
        this.backAt = Date.now();
        return undefined;
      }
      const { code, retry_after_ms } = how.error as { code: string; retry_after_ms?: number };
      count(counted.refusals, `${code} (request)`);
      this.#drop();
      return pauseAfter(attempt, retry_after_ms);
    } catch (error) {
      this.#drop();
      const data = error instanceof ConnectRefused ? error.data : {};
      count(counted.refusals, data.code ?? (error as Error).message);
      return pauseAfter(attempt, data.retry_after_ms);
    }
  }

  #drop(): void {
    if (this.socket === undefined) return;
    this.socket.onClose = () => {};
    this.socket.terminate();
    this.socket = undefined;
  }

  #lost(socket: RawSocket): void {
    if (this.socket !== socket || this.backAt === 0) return;
    this.socket = undefined;
    this.backAt = 0;
    this.#hub += 1;
    void sleep(pauseAfter(1, undefined)).then(() => this.connect());
  }
}

class Agent extends Client {
  readonly namespace = "/agents";
  readonly #sessionId: string;
  #proof: { readonly incarnation: number; readonly token: string } | undefined;

  constructor(index: number, options: OpenClients) {
    super(index, options);
    this.#sessionId = `storm-session-${index}`;
  }

  get auth() {
    return { key: BENCH_KEY, protocol: 1, agent_id: `storm-agent-${this.index}`, client: "bench/1" };
  }

  protected async begin(socket: RawSocket): Promise<string | Ack> {
    const session = { session_id: this.#sessionId, project_id: this.projectId, machine_id: "bench-machine" };
    const opened = await socket.request("session:open", { ...session, ...this.#proof });
    if (!opened.ok) return opened;
    this.#proof = { incarnation: Number(opened.incarnation), token: String(opened.token) };
    return opened.resumed === true ? "resumed" : "opened";
  }

  beat(): void {
    if (this.#proof === undefined || this.backAt === 0) return;
    const { incarnation } = this.#proof;
    this.socket?.send("heartbeat", { sessions: [{ session_id: this.#sessionId, incarnation }] });
  }
}

class Viewer extends Client {
  readonly namespace = "/viewers";
  readonly auth = { key: BENCH_KEY, protocol: 1, client: "bench/1" };
  seq = 0;
  #epoch: string | undefined;
  /** Frames that were read together with the answer to the join, before that was looked at. */
  #early: FrameHead[] | undefined;

  protected async begin(socket: RawSocket): Promise<string | Ack> {
    this.#early = [];
    socket.onPacket = (packet) => {
      const frame = frameHead(packet);
      if (frame === undefined) return false;
      if (this.#early === undefined) this.#apply(frame);
      else this.#early.push(frame);
      return true;
    };
    socket.onEvent = (event, body) => this.#heard(event, body);
    const since = this.#epoch === undefined ? {} : { since: { epoch: this.#epoch, seq: this.seq } };
    const joined = await socket.request("project:join", { project_id: this.projectId, ...since });
    if (!joined.ok) return joined;
    if (joined.mode === "replay" && joined.from_seq !== this.seq + 1) {
      fail(`viewer ${this.index}: replay from ${joined.from_seq} at ${this.seq}`);
    }
    this.seq = Number(joined.seq);
    this.#epoch = String(joined.epoch);
    const early = this.#early;
    this.#early = undefined;
    for (const frame of early) this.#apply(frame);
    return String(joined.mode);
  }

  #apply({ fromSeq, toSeq }: FrameHead): void {
    if (fromSeq !== this.seq + 1) fail(`viewer ${this.index}: a frame from ${fromSeq} at ${this.seq}`);
    this.seq = toSeq;
  }

  #heard(event: string, body: unknown): void {
    if (event === "project:reset") fail(`viewer ${this.index}: reset`);
    if (event !== "position") return;
    const { seq } = body as { readonly seq: number };
    if (this.#early === undefined && seq !== this.seq) fail(`viewer ${this.index}: position ${seq} at ${this.seq}`);
  }
}

const agents: Agent[] = [];
const viewers: Viewer[] = [];
let clients: readonly Client[] = [];
const failures: string[] = [];
const counted = { refusals: {} as Record<string, number>, how: {} as Record<string, number> };

function count(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

function fail(reason: string): void {
  if (failures.length < MAX_FAILURES) failures.push(reason);
}

function pauseAfter(attempt: number, askedMs: number | undefined): number {
  return askedMs === undefined ? backoffMs(attempt, Math.random()) : askedPauseMs(askedMs, Math.random());
}

async function open(options: OpenClients): Promise<void> {
  for (let index = 0; index < options.clients; index += 1) {
    if (options.role === "agent") agents.push(new Agent(index, options));
    else viewers.push(new Viewer(index, options));
  }
  clients = [...agents, ...viewers];
  const waiting = [...clients];
  const connectNext = async () => {
    for (let client = waiting.shift(); client !== undefined; client = waiting.shift()) await client.connect();
  };
  await Promise.all(Array.from({ length: STARTING_AT_ONCE }, connectNext));
  counted.how = {};
  counted.refusals = {};
}

/** One agent after the other, each once in `BEAT_EVERY_MS`. */
let nextBeat = 0;
setInterval(() => {
  for (let due = (agents.length * BEAT_TICK_MS) / BEAT_EVERY_MS; due > 0; due -= 1) {
    agents[nextBeat++ % agents.length]?.beat();
  }
}, BEAT_TICK_MS);

/** @param since milliseconds since 1970 */
function returned({ since }: { readonly since: number }): Returned {
  const back = clients.filter(({ backAt }) => backAt > since);
  return {
    isComplete: back.length === clients.length,
    backAfterMs: percentiles(back.map(({ backAt }) => backAt - since)),
    ...counted,
  };
}

function positions(_: null): Positions {
  const lowest: Record<string, number> = {};
  for (const { projectId, seq } of viewers) lowest[projectId] = Math.min(seq, lowest[projectId] ?? seq);
  return { lowest, failures };
}

export const operations = { open, returned, positions };
serve(operations);
