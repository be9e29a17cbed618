import { describe, expect, test } from "vitest";
import { Agent } from "../../client/agent.ts";
import type { AgentSession } from "../../client/agent-session.ts";
import { FileSpool } from "../../client/node/file-spool.ts";
import type { Edit } from "../../shared/messages/changes-publish.ts";
import { CrashingFile } from "../support/crashing-file.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { FakeTransport } from "../support/fake-link.ts";
import { Random } from "../support/random.ts";
import { SimAgentsHub } from "../support/sim-agents-hub.ts";

const SESSIONS = ["s1", "s2", "s3"];

/** Processes of one agent, one after the other on one spool file, and the hub that they report to. */
class World {
  readonly file = new CrashingFile();
  readonly hub = new SimAgentsHub();
  readonly #random: Random;
  #clock = new FakeClock();
  #transport = new FakeTransport();
  #agent: Agent | undefined;
  #count = 0;
  /** Numbers that `publish()` took, by session and entity, in the order of the calls. */
  readonly taken = new Map<string, Map<string, number[]>>();
  /** The process died before `publish()` could say whether it took them. */
  readonly unsure = new Set<number>();
  readonly errors: unknown[] = [];

  /** Messages that had left the process when it died. */
  #sentAtCrash = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.file.onCrash = () => {
      this.#sentAtCrash = this.#transport.links.at(-1)?.sent.length ?? 0;
    };
  }

  /** A new process. False when it died on the way. */
  start(): boolean {
    if (this.isDead) this.#arriveLate();
    this.#clock = new FakeClock();
    this.#transport = new FakeTransport();
    this.#agent = undefined;
    this.file.isCrashed = false;
    try {
      const spool = new FileSpool({
        name: "memory",
        file: this.file,
        compactBytes: 2_000,
        isHeld: () => true,
        keepUndelivered: () => undefined,
        release: () => {},
      });
      const agent = new Agent(
        { url: "http://hub", key: "k", agentId: "a", spool },
        this.#transport.connect,
        this.#clock,
      );
      agent.on("undelivered", ({ error }) => this.errors.push(error));
      this.#agent = agent;
    } catch (error) {
      if (!this.file.isCrashed) throw error;
    }
    return !this.file.isCrashed;
  }

  /** What the dead process had sent may still reach the hub; nobody hears the answers. */
  #arriveLate(): void {
    const link = this.#transport.links.at(-1);
    for (let sent = 0; sent < this.#sentAtCrash && this.#random.chance(0.8); sent++) {
      if (link === undefined || this.hub.handledOf(link) >= this.#sentAtCrash) return;
      this.hub.handleNext(link);
    }
  }

  get isDead(): boolean {
    return this.file.isCrashed;
  }

  publish(): void {
    const random = this.#random;
    const sessionId = random.pick(SESSIONS);
    const session = this.#session(sessionId);
    if (session === undefined) return;
    const number = ++this.#count;
    const metadata = { [`k${number}`]: number };
    const entity = random.pick(["session", "t1", "t2"]);
    const edit: Edit =
      entity === "session" ? { kind: "session", metadata } : { kind: "task", task_id: entity, metadata };
    const alone = random.chance(0.2);
    let wasRefused = false;
    session.publish(edit, { alone, latest: random.chance(0.5) }).catch(() => {
      wasRefused = true;
    });
    if (this.isDead) {
      this.unsure.add(number);
      return;
    }
    expect(wasRefused).toBe(false);
    const entities = this.taken.get(sessionId) ?? new Map<string, number[]>();
    this.taken.set(sessionId, entities);
    entities.set(entity, [...(entities.get(entity) ?? []), number]);
  }

  #session(sessionId: string): AgentSession | undefined {
    const agent = this.#agent;
    if (agent === undefined) return undefined;
    const there = agent.sessions.get(sessionId);
    try {
      if (there?.isLeft === false) return there;
      const session = agent.open({ sessionId, projectId: "p", machineId: "m" });
      session.on("error", (error) => {
        if (!this.isDead) this.errors.push(error);
      });
      return session;
    } catch (error) {
      if (!this.isDead) throw error;
      return undefined;
    }
  }

  /** The hub accepts the link or takes one message; its ack may get lost with the link. */
  exchange(): boolean {
    const { link } = this.#transport;
    if (!link.isOpen) return false;
    if (link.sent.length === 0 && !this.#accepted.has(link)) {
      this.#accepted.add(link);
      link.accept();
      return true;
    }
    const deliver = this.hub.handleNext(link);
    if (deliver !== undefined && this.#random.chance(0.9)) deliver();
    else if (deliver !== undefined) link.cut();
    return deliver !== undefined;
  }
  readonly #accepted = new WeakSet<object>();

  cut(): void {
    if (this.#transport.link.isOpen) this.#transport.link.cut();
  }

  advance(ms: number): void {
    this.#clock.advance(ms);
  }

  /** No more faults but the crash that is still due: everything that was taken arrives. */
  async settle(): Promise<void> {
    for (let turns = 0; turns < 400; turns++) {
      while (!this.isDead && this.exchange());
      if (!this.isDead && this.#agent?.outbox.publishes === 0) break;
      if (this.isDead) {
        this.file.budget = Number.POSITIVE_INFINITY;
        this.start();
      }
      this.advance(1_000);
    }
    expect(this.#agent?.outbox).toEqual({ publishes: 0, bytes: 0 });
    await new Promise(setImmediate);
  }

  check(): void {
    for (const sessionId of SESSIONS) {
      const applied = this.hub.numbers(sessionId);
      for (const [entity, numbers] of this.taken.get(sessionId) ?? []) {
        const sure = (applied.get(entity) ?? []).filter((number) => !this.unsure.has(number));
        expect(sure, `${sessionId} ${entity}`).toEqual(numbers);
      }
      const all = [...applied.values()].flat();
      expect(new Set(all).size, `${sessionId}: applied twice`).toBe(all.length);
    }
    expect(this.errors).toEqual([]);
  }
}

/** Inside a line one byte is like the next; around its end each is another case. */
function isTelling(history: string, bytes: number): boolean {
  return bytes % 17 === 0 || history.slice(Math.max(0, bytes - 2), bytes + 2).includes("\n");
}

describe("agent with a spool", () => {
  test("[D9] killed around the end of every line that it writes, and within lines: each publish taken arrives exactly once, in order", async () => {
    const script = (world: World) => {
      if (!world.start()) return;
      for (let step = 0; step < 12 && !world.isDead; step++) {
        if (step % 5 === 4) world.cut();
        world.publish();
        if (step % 2 === 0) world.exchange();
        if (step % 3 === 2) world.advance(1_000);
      }
    };
    const whole = new World(7);
    script(whole);
    await whole.settle();
    whole.check();
    const kinds = new Set([...whole.file.history.matchAll(/"type":"(\w+)"/g)].map(([, kind]) => kind));
    expect([...kinds].sort()).toEqual(["agent", "answered", "owned", "returned", "sent", "session", "taken"]);
    for (let bytes = 0; bytes < whole.file.written; bytes++) {
      if (!isTelling(whole.file.history, bytes)) continue;
      const world = new World(7);
      world.file.budget = bytes;
      script(world);
      await world.settle();
      world.check();
    }
  }, 180_000);

  test.each(Array.from({ length: 60 }, (_, seed) => seed))(
    "[D9] random publishes, lost links, lost answers and crashes (seed %i): exactly once, in order",
    async (seed) => {
      const random = new Random(seed);
      const world = new World(seed);
      world.start();
      for (let step = 0; step < 300; step++) {
        if (world.isDead) world.start();
        if (random.chance(0.03)) world.file.budget = random.integer(0, 400);
        if (world.isDead) continue;
        if (random.chance(0.5)) world.publish();
        if (random.chance(0.7)) world.exchange();
        if (random.chance(0.05)) world.cut();
        if (random.chance(0.3)) world.advance(random.integer(0, 3_000));
        if (world.isDead) world.file.budget = Number.POSITIVE_INFINITY;
      }
      await world.settle();
      world.check();
    },
  );
});
