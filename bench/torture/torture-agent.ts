import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../../test/support/random.ts";
import { BENCH_KEY } from "../support/processes.ts";
import { type Ack, ConnectionLost, RawSocket } from "../support/raw-socket.ts";
import type { PublishRecord } from "./check-history.ts";
import type { Stay } from "./check-losses.ts";

/** Where a hub is found, and which one of the fleet it is. */
export interface Door {
  readonly hub: number;
  /** `ws://HOST:PORT`. */
  readonly url: string;
}

interface AgentOptions {
  /** The first one is taken; after a lost connection the next, and so on around. */
  readonly doors: readonly Door[];
  readonly name: string;
  readonly projectId: string;
  readonly random: Random;
  readonly ledger: Ledger;
  /** Between one publish and the next. */
  readonly rest: () => Promise<void>;
}

/** Things every agent adds to, in one place. */
export interface Ledger {
  readonly publishes: PublishRecord[];
  readonly stays: Stay[];
  /** What no correct hub does to a correct agent; each is a violation. */
  readonly anomalies: string[];
  readonly counts: { acked: number; refused: number; resent: number; duplicates: number; resumed: number };
}

interface Session {
  readonly id: string;
  incarnation: number;
  token: string | undefined;
  /** The last op that was acked. */
  lastOp: number;
  readonly tasks: Map<string, string>;
  /** Wall clock at which it was last opened; undefined while it is open nowhere. */
  openedAtMs: number | undefined;
}

interface Change {
  readonly kind: "session" | "task";
  readonly task_id?: string;
  readonly title?: string;
  readonly status?: string;
  readonly progress?: number;
  readonly waiting_for?: object;
  readonly metadata: { mark: string };
  readonly expected_version?: number;
}

/** A publish or close that has been sent and not settled. It is sent again, unchanged, until it is. */
interface Pending {
  readonly event: "changes:publish" | "session:close";
  readonly op: number;
  readonly mark: string;
  readonly body: { readonly changes?: readonly Change[]; readonly status?: string; readonly metadata?: object };
  attempts: number;
  /** `performance.now()` of the first attempt. */
  readonly sentMs: number;
}

const TASKS_PER_SESSION = 8;
const RECONNECT_MS = 25;
const ANSWER_DEADLINE_MS = 20_000;
const HEARTBEAT_MS = 500;

/** Where a task may go from each status, so that an agent can ask for the possible and, now and then, for the other. */
const NEXT_TASK_STATUS: Readonly<Record<string, readonly string[]>> = {
  PENDING: ["IN_PROGRESS", "CANCELLED"],
  IN_PROGRESS: ["IN_PROGRESS", "BLOCKED", "COMPLETED", "FAILED"],
  BLOCKED: ["IN_PROGRESS", "FAILED"],
  FAILED: ["PENDING"],
};

/**
 * An agent as the protocol wants it, written against the protocol alone: one publish at a time, the same op again
 * after a lost answer, reopening with incarnation and token. It notes how each publish ended.
 */
export class TortureAgent {
  readonly #options: AgentOptions;
  readonly #name: string;
  readonly #projectId: string;
  readonly #random: Random;
  readonly #ledger: Ledger;
  #session: Session;
  #pending: Pending | undefined;
  #sessionCount = 0;
  #markCount = 0;
  #doorsTried = 0;
  #isStopping = false;
  #hasLeft = false;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#name = options.name;
    this.#projectId = options.projectId;
    this.#random = options.random;
    this.#ledger = options.ledger;
    this.#session = this.#newSession();
  }

  get hasUnsettled(): boolean {
    return this.#pending !== undefined;
  }

  /** From now on it only settles what is pending, and sends heartbeats. */
  stop(): void {
    this.#isStopping = true;
  }

  leave(): void {
    this.#hasLeft = true;
  }

  /** What was never answered, when the run is over. */
  noteUnsettled(): void {
    if (this.#pending) this.#note(this.#pending, "unknown");
  }

  async run(): Promise<void> {
    while (!this.#hasLeft) {
      let socket: RawSocket | undefined;
      try {
        const auth = { key: BENCH_KEY, protocol: 1, agent_id: this.#name, client: "torture/1" };
        const { url } = this.#door;
        socket = await RawSocket.connect({ url, namespace: "/agents", auth, connectTimeoutMs: 2_000 });
        await this.#work(socket);
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
      } finally {
        socket?.terminate();
      }
      this.#doorsTried += 1;
      await sleep(this.#random.between(0, RECONNECT_MS));
    }
  }

  get #door(): Door {
    const { doors } = this.#options;
    return doors[this.#doorsTried % doors.length] as Door;
  }

  async #work(socket: RawSocket): Promise<void> {
    await this.#open(socket);
    const beat = setInterval(() => this.#beat(socket), HEARTBEAT_MS);
    try {
      while (socket.isOpen && !this.#hasLeft) {
        if (this.#pending || !this.#isStopping) {
          const isUsable = await this.#publish(socket);
          if (!isUsable) return;
        }
        await (this.#isStopping ? sleep(RECONNECT_MS) : this.#options.rest());
      }
    } finally {
      clearInterval(beat);
      this.#noteStay();
    }
  }

  /** False when the connection has to be given up. */
  async #publish(socket: RawSocket): Promise<boolean> {
    if (this.#pending) this.#ledger.counts.resent += 1;
    const pending = this.#pending ?? this.#compose();
    this.#pending = pending;
    const isSettled = await this.#settle(socket, pending);
    if (isSettled && pending.event === "session:close") await this.#open(socket);
    return isSettled;
  }

  #beat(socket: RawSocket): void {
    const { id, incarnation } = this.#session;
    if (incarnation > 0) socket.send("heartbeat", { sessions: [{ session_id: id, incarnation }] });
  }

  async #open(socket: RawSocket): Promise<void> {
    const session = this.#session;
    const ack = await this.#ask(socket, "session:open", {
      ...{ session_id: session.id, project_id: this.#projectId, machine_id: "torture-machine" },
      ...(session.token === undefined ? {} : { incarnation: session.incarnation, token: session.token }),
    });
    if (ack.ok) return this.#opened(ack);
    const { code } = errorOf(ack);
    // A close whose ack was lost: the session has ended and cannot be opened, its retry is still answered.
    if (code === "INVALID_TRANSITION" && this.#pending?.event === "session:close") return;
    if (!isRetryable(ack)) this.#anomaly(`session:open answered ${JSON.stringify(ack.error)}`);
    await sleep(retryAfter(ack));
    throw new ConnectionLost("could not open");
  }

  #opened(ack: Ack): void {
    const session = this.#session;
    const [incarnation, lastOp] = [Number(ack.incarnation), Number(ack.last_op)];
    if (session.token !== undefined) {
      this.#ledger.counts.resumed += 1;
      if (incarnation !== session.incarnation)
        this.#anomaly(`resumed with token as incarnation ${incarnation}, was ${session.incarnation}`);
      if (lastOp !== session.lastOp && lastOp !== this.#pending?.op)
        this.#anomaly(`last_op ${lastOp} after resume; acked ${session.lastOp}, pending ${this.#pending?.op}`);
    }
    session.incarnation = incarnation;
    session.token = String(ack.token);
    session.openedAtMs = Date.now();
  }

  #noteStay(): void {
    const { id, openedAtMs } = this.#session;
    if (openedAtMs === undefined) return;
    this.#ledger.stays.push({ project_id: this.#projectId, session_id: id, fromMs: openedAtMs, toMs: Date.now() });
    this.#session.openedAtMs = undefined;
  }

  /** True when it is known how the publish ended and the connection can be used further. */
  async #settle(socket: RawSocket, pending: Pending): Promise<boolean> {
    const { id, incarnation } = this.#session;
    const { event, op, body } = pending;
    pending.attempts += 1;
    const ack = await this.#ask(socket, event, { session_id: id, incarnation, op, ...body });
    if (ack.ok) {
      this.#ledger.counts.acked += 1;
      if (ack.duplicate === true) this.#ledger.counts.duplicates += 1;
      this.#note(pending, "acked", ack);
      this.#remember(pending);
      return true;
    }
    if (isRetryable(ack)) {
      await sleep(retryAfter(ack));
      return false;
    }
    const { code } = errorOf(ack);
    if (code === "NOT_FOUND" && event === "session:close") {
      // The session is final on a connection that never opened it; nobody else could have ended it.
      this.#note(pending, "unknown");
      this.#remember(pending);
      return true;
    }
    if (code === "NOT_FOUND" || code === "FENCED") {
      this.#anomaly(`${event} op ${op} on an open session answered ${JSON.stringify(ack.error)}`);
      return false;
    }
    if (!["VERSION_CONFLICT", "INVALID_TRANSITION", "VALIDATION"].includes(code))
      this.#anomaly(`${event} op ${op} answered ${JSON.stringify(ack.error)}`);
    this.#ledger.counts.refused += 1;
    this.#note(pending, "refused");
    this.#pending = undefined;
    return true;
  }

  #remember({ event, op, body }: Pending): void {
    this.#pending = undefined;
    this.#session.lastOp = op;
    for (const { task_id, status } of body.changes ?? [])
      if (task_id !== undefined)
        this.#session.tasks.set(task_id, status ?? this.#session.tasks.get(task_id) ?? "PENDING");
    if (event !== "session:close") return;
    this.#noteStay();
    this.#session = this.#newSession();
  }

  #note({ op, mark, body, attempts, sentMs }: Pending, outcome: PublishRecord["outcome"], ack?: Ack): void {
    const { id, incarnation } = this.#session;
    const results = ack?.results as PublishRecord["results"];
    const course = { hub: this.#door.hub, attempts, sent_ms: sentMs, settled_ms: performance.now() };
    this.#ledger.publishes.push({
      ...{ project_id: this.#projectId, session_id: id, incarnation, op, mark, outcome, course },
      changes: body.changes?.length ?? 1,
      ...(results === undefined ? {} : { results }),
      ...(ack?.seq === undefined ? {} : { seq: Number(ack.seq) }),
    });
  }

  #anomaly(text: string): void {
    this.#ledger.anomalies.push(`${this.#name} ${this.#session.id}: ${text}`);
  }

  async #ask(socket: RawSocket, event: string, body: unknown): Promise<Ack> {
    const late = setTimeout(() => {
      this.#anomaly(`${event} not answered in ${ANSWER_DEADLINE_MS} ms on a living connection`);
      socket.terminate();
    }, ANSWER_DEADLINE_MS);
    try {
      return await socket.request(event, body);
    } finally {
      clearTimeout(late);
    }
  }

  #newSession(): Session {
    this.#sessionCount += 1;
    const id = `${this.#name}-${this.#sessionCount}`;
    return { id, incarnation: 0, token: undefined, lastOp: 0, tasks: new Map(), openedAtMs: undefined };
  }

  #compose(): Pending {
    this.#markCount += 1;
    const mark = `${this.#name}.${this.#markCount}`;
    const op = this.#session.lastOp + 1;
    if (this.#random.chance(0.01)) {
      const body = { status: this.#random.pick(["COMPLETED", "FAILED"]), metadata: { mark } };
      return { event: "session:close", op, mark, body, attempts: 0, sentMs: performance.now() };
    }
    const body = { changes: this.#changes(mark) };
    return { event: "changes:publish", op, mark, body, attempts: 0, sentMs: performance.now() };
  }

  #changes(mark: string): Change[] {
    const random = this.#random;
    const dice = random.next();
    if (dice < 0.04) return [this.#impossible(mark)];
    if (dice < 0.4) return [this.#sessionChange(mark)];
    if (dice < 0.8) return [this.#taskChange(mark, new Set())];
    const used = new Set<string>();
    const tasks = Array.from({ length: 1 + Math.floor(random.between(0, 3)) }, () => this.#taskChange(mark, used));
    const session = this.#sessionChange(mark);
    // The same entity stands at most once in a publish; a task that could not be changed became a session change.
    return [session, ...tasks.filter((change) => change.kind === "task")];
  }

  #sessionChange(mark: string): Change {
    const status = this.#random.pick(["ACTIVE", "ACTIVE", "ACTIVE", "IDLE", "WAITING", "PAUSED"]);
    const waiting = status === "WAITING" ? { waiting_for: { kind: "review", question: `May I? (${mark})` } } : {};
    return { kind: "session", status, ...waiting, metadata: { mark } };
  }

  #taskChange(mark: string, used: Set<string>): Change {
    const open = [...this.#session.tasks].filter(([id, status]) => !used.has(id) && status in NEXT_TASK_STATUS);
    const task = open.length === 0 ? undefined : this.#random.pick(open);
    const count = this.#session.tasks.size + used.size;
    if (count < TASKS_PER_SESSION && (task === undefined || this.#random.chance(0.2))) {
      const id = `task-${count + 1}`;
      used.add(id);
      return { kind: "task", task_id: id, title: `Task ${count + 1} of ${this.#session.id}`, metadata: { mark } };
    }
    if (task === undefined) return this.#sessionChange(mark);
    const [id, from] = task;
    used.add(id);
    const status = this.#random.pick(NEXT_TASK_STATUS[from] ?? [from]);
    return {
      kind: "task",
      task_id: id,
      status,
      progress: Math.round(this.#random.next() * 100) / 100,
      metadata: { mark },
    };
  }

  /** Something that the hub has to refuse. */
  #impossible(mark: string): Change {
    const pending = [...this.#session.tasks].find(([, status]) => status === "PENDING");
    if (pending && this.#random.chance(0.5))
      return { kind: "task", task_id: pending[0], status: "COMPLETED", metadata: { mark } };
    return { kind: "session", metadata: { mark }, expected_version: 1_000_000 };
  }
}

function errorOf(ack: Ack): { code: string; retryable?: boolean; retry_after_ms?: number } {
  return (ack.error ?? { code: "none" }) as { code: string };
}

function isRetryable(ack: Ack): boolean {
  const { code, retryable } = errorOf(ack);
  return retryable === true || code === "INTERNAL";
}

function retryAfter(ack: Ack): number {
  return Math.min(1_000, errorOf(ack).retry_after_ms ?? 50);
}
