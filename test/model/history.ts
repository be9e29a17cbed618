import type { Answer, Command } from "../../server/domain/commands.ts";
import { LOCAL_FAN_OUT } from "../../server/local-fan-out.ts";
import { MemoryBase } from "../../server/memory/base.ts";
import { MemoryBeats } from "../../server/memory/beats.ts";
import { MemoryHubs } from "../../server/memory/hubs.ts";
import { MemoryProjections } from "../../server/memory/projections.ts";
import { MemoryPurges } from "../../server/memory/purges.ts";
import type { Logger } from "../../server/ports.ts";
import type { PublishResult } from "../../shared/messages/changes-publish.ts";
import { Random } from "../support/random.ts";
import { VirtualTime } from "../support/virtual-time.ts";
import { Agent, type Answered, operate, type Request } from "./actors.ts";
import {
  checkCaches,
  checkDocuments,
  checkFollower,
  checkLog,
  checkMarks,
  checkPast,
  checkRequests,
  checkSilent,
  checkVerdicts,
  checkVisible,
  signKey,
} from "./checks.ts";
import { FaultyBus } from "./faulty-bus.ts";
import { type Faults, MajorityLag, NO_FAULTS, Wire } from "./faulty-ports.ts";
import { Follower } from "./follower.ts";
import { checkForgotten, Historian, purge } from "./forgotten.ts";
import { removedAt } from "./lives.ts";
import { SimHub } from "./sim-hub.ts";
import { WholeLog } from "./whole-log.ts";

const PROJECTS = ["p1", "p2"];

/** Virtual time after which a history must be over. */
const LIMIT_MS = 60_000;

/** One random history of hubs, agents, operators and viewers on one database that fails in every way. */
export class World {
  readonly time = new VirtualTime();
  readonly random: Random;
  readonly changeLog = new WholeLog();
  readonly base = new MemoryBase();
  readonly beats = new MemoryBeats();
  readonly purges = new MemoryPurges();
  readonly projections = new MemoryProjections();
  readonly requests: Request[] = [];
  /** When each hub heard of the owner of a session: see `signKey`. */
  readonly signs = new Map<string, number[]>();
  readonly rows = new MemoryHubs();
  /** When the row of each hub rose. */
  readonly raises = new Map<string, number[]>();
  /** What happened, for the message of a failure. */
  readonly trace: string[] = [];
  #comesToRest = false;
  faults: Faults = NO_FAULTS;
  readonly historian = new Historian();
  /** Whether sessions are removed: then more of them end, and more begin anew. */
  readonly forgets: boolean;
  readonly #sessionsKeptMs: number;
  readonly #lag = new MajorityLag();
  readonly #hubs: SimHub[] = [];
  readonly #starting = new Set<SimHub>();
  readonly #errors: unknown[] = [];
  /** Without one, hubs find each other's entries by comparing heads alone. */
  readonly #bus: FaultyBus | undefined;
  /** Documents were lost: what was acked need not be in them until they are repaired. */
  #rolledBack = false;
  /** Between the last journaled write and the loss of those after it: what majority reads see. */
  #durable: MemoryProjections | undefined;
  #hubCount = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.#bus = this.random.chance(0.7) ? new FaultyBus() : undefined;
    this.forgets = this.random.chance(0.5);
    this.#sessionsKeptMs = this.forgets && this.random.chance(0.5) ? this.random.integer(20, 200) : 0;
  }

  run(): Promise<void> {
    return this.time.run(
      () => this.random.next(),
      LIMIT_MS,
      () => this.#run(),
    );
  }

  async #run(): Promise<void> {
    const { random } = this;
    for (let left = random.integer(1, 3); left > 0; left--) await this.#startHub();
    this.faults = this.#someFaults();
    const agents = Array.from({ length: random.integer(2, 6) }, (_, index) => this.#runAgent(`a${index % 4}`));
    const followers = Array.from({ length: random.integer(1, 4) }, () => new Follower(this, this.someProject()));
    const isOver = { value: false };
    const besides = [this.#disturb(isOver), ...(this.forgets ? [this.historian.run(this, isOver)] : [])];
    const operators = [operate(this, random.integer(0, 8)), purge(this, this.forgets ? random.integer(1, 6) : 0)];
    await Promise.all([...agents, ...operators, ...followers.map((one) => one.run(4))]);
    isOver.value = true;
    await Promise.all(besides);
    await this.#settle(followers);
    this.#throwErrors();
    for (const projectId of PROJECTS) {
      const entries = this.changeLog.whole(projectId);
      checkLog(entries);
      await checkPast(projectId, entries, this, this.historian);
      checkVerdicts(entries, this);
      await checkDocuments(projectId, entries, this.projections);
      await checkForgotten(projectId, entries, this);
      for (const hub of this.#hubs) if (!hub.isDead) checkCaches(hub.core.projects.known(projectId), entries);
    }
    checkRequests(this.requests, this.changeLog);
    for (const follower of followers) checkFollower(follower, this.changeLog.whole(follower.projectId));
  }

  /** One process, or where sessions are removed some that work on the same one, one after the other. */
  async #runAgent(name: string): Promise<void> {
    const { random } = this;
    const projectId = this.someProject();
    const sessionId = random.pick(["s1", "s2", "s3", "s4"]);
    for (let left = this.forgets ? random.integer(1, 4) : 1; left > 0; left--) {
      await new Agent(this, name, projectId, sessionId).run(random.integer(1, this.forgets ? 6 : 12));
      if (left > 1) await this.time.sleep(random.next() * 150);
    }
  }

  /** Heals the database, waits until every hub is at rest and every viewer has had time to hear of it. */
  async #settle(followers: readonly Follower[]): Promise<void> {
    this.faults = NO_FAULTS;
    if (this.#hubs.every((hub) => hub.isDead)) await this.#startHub();
    await this.time.sleep(1_500);
    this.#comesToRest = true;
    await this.#endPurges();
    for (const projectId of PROJECTS) checkSilent(this.changeLog.whole(projectId));
    for (const hub of this.#hubs) {
      if (!hub.isDead && hub.core.writer.openJobs > 0)
        throw new Error(`${hub.core.writer.openJobs} requests were never answered`);
    }
    for (const follower of followers) await follower.join();
    await this.time.sleep(500);
    for (const projectId of PROJECTS) {
      // Whoever knows the project closes holes; one that no living hub knows waits for the next start.
      if (this.#hubs.some((hub) => !hub.isDead && hub.core.projects.known(projectId) !== undefined)) continue;
      await this.#startHub();
      break;
    }
  }

  /** Whatever hub began one, those that live go on with it. */
  async #endPurges(): Promise<void> {
    for (let left = 100; left > 0; left--) {
      if ((await this.purges.readOpen("9", 1)).length === 0) return;
      await this.time.sleep(50);
    }
    throw new Error("a purge has not ended");
  }

  async #disturb(isOver: { readonly value: boolean }): Promise<void> {
    const { random } = this;
    const restarts = random.chance(0.6);
    const rollsBack = random.chance(0.25);
    while (!isOver.value) {
      await this.time.sleep(random.next() * 150);
      const kind = random.integer(0, 5);
      if (kind === 0 && restarts) await this.#restartHub();
      else if (kind === 1 && rollsBack) await this.#rollBack();
      else this.faults = this.#someFaults();
    }
  }

  #someFaults(): Faults {
    const { random } = this;
    if (random.chance(0.4)) return { ...NO_FAULTS, latencyMs: random.integer(0, 20) };
    const some = () => (random.chance(0.5) ? 0 : random.next() * 0.4);
    return {
      appendLost: some(),
      appendUnanswered: some(),
      appendLate: some(),
      readFails: some(),
      writeFails: some(),
      latencyMs: random.integer(0, 40),
      majorityLagMs: random.chance(0.3) ? random.integer(1, 30) : 0,
      busLoses: some(),
      busDoubles: some(),
      busDelayMs: random.integer(0, 40),
    };
  }

  async #startHub(): Promise<void> {
    this.#hubCount += 1;
    const wire = new Wire(this);
    const hub = new SimHub(`h${this.#hubCount}`, wire, {
      time: this.time,
      changeLog: this.changeLog,
      projections: this.projections,
      base: this.base,
      beats: this.beats,
      purges: this.purges,
      begins: () => !this.#comesToRest,
      sessionsKeptMs: this.#sessionsKeptMs,
      lag: this.#lag,
      durable: () => this.#durable,
      fanOut: this.#bus?.connect(wire) ?? LOCAL_FAN_OUT,
      log: this.#logger(`h${this.#hubCount}`),
      rows: this.rows,
      raised: (hubId) => this.raises.set(hubId, [...(this.raises.get(hubId) ?? []), this.time.now()]),
    });
    this.#starting.add(hub);
    await hub.start();
    this.#starting.delete(hub);
    this.#hubs.push(hub);
  }

  async #restartHub(): Promise<void> {
    const alive = this.#hubs.filter((hub) => !hub.isDead);
    if (alive.length > 0) {
      const hub = this.random.pick(alive);
      this.trace.push(`${this.time.now()} ${hub.hubId} crashes`);
      hub.crash();
    }
    if (this.random.chance(0.5)) await this.time.sleep(this.random.next() * 100);
    await this.#startHub();
  }

  /** The database loses the last of its unjournaled writes, then all hubs see a primary again. */
  async #rollBack(): Promise<void> {
    this.#rolledBack = true;
    const saved = this.projections.save();
    this.#durable = new MemoryProjections();
    this.#durable.restore(saved);
    await this.time.sleep(this.random.next() * 60);
    this.trace.push(`${this.time.now()} documents roll back`);
    this.projections.restore(saved);
    this.#durable = undefined;
    for (const hub of [...this.#hubs, ...this.#starting]) if (!hub.isDead) hub.core.onPrimaryChange();
  }

  #logger(hubId: string): Logger {
    const write = (level: string) => (fields: object, message: string) => {
      this.trace.push(`${this.time.now()} ${hubId} ${level}: ${message} ${JSON.stringify(fields)}`);
      const { err } = fields as { err?: unknown };
      if (level === "error") this.#errors.push(err ?? new Error(message));
    };
    return { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
  }

  #throwErrors(): void {
    if (this.#errors.length > 0) throw this.#errors[0];
  }

  heard(hub: SimHub, projectId: string, sessionId: string, incarnation: number): void {
    const key = signKey(hub.hubId, projectId, sessionId, incarnation);
    const signs = this.signs.get(key);
    if (signs === undefined) this.signs.set(key, [this.time.now()]);
    else signs.push(this.time.now());
  }

  someHub(): SimHub {
    const alive = this.#hubs.filter((hub) => !hub.isDead);
    return this.random.pick(alive.length > 0 ? alive : this.#hubs);
  }

  someProject(): string {
    return this.random.pick(PROJECTS);
  }

  request(request: Omit<Request, "acked" | "unknown">): Request {
    const known = { ...request, acked: undefined, unknown: false };
    this.requests.push(known);
    return known;
  }

  /** The outcome, or undefined when the hub died before it answered. */
  async submit(hub: SimHub, projectId: string, command: Command): Promise<Answered> {
    if (hub.isDead) return undefined;
    const outcome = await hub.submit(projectId, command);
    this.#throwErrors();
    return hub.isDead ? undefined : outcome;
  }

  /** What a promise gives, or undefined when the hub dies first: its reads then never end. */
  async orNever<T>(hub: SimHub, promise: Promise<T>): Promise<T | undefined> {
    promise.catch(() => {});
    const died = hub.died.then(() => undefined);
    const value = await Promise.race([promise, died]);
    return hub.isDead ? undefined : value;
  }

  acked(request: Request, seq: number, results: readonly PublishResult[]): void {
    const { acked } = request;
    const text = JSON.stringify({ seq, results: results.filter(({ changed }) => changed) });
    if (acked === undefined) {
      request.acked = { seq, results };
      return;
    }
    const before = JSON.stringify({ seq: acked.seq, results: acked.results.filter(({ changed }) => changed) });
    const wasRemoved = removedAt(this.changeLog.whole(request.projectId), request.sessionId) > acked.seq;
    // What changed nothing is not recorded: it may be answered anew.
    if (acked.results.some(({ changed }) => changed) && text !== before && !wasRemoved) {
      throw new Error(`op ${request.op} of ${request.sessionId} was answered ${before}, then ${text}`);
    }
    request.acked = { seq, results };
  }

  /** REST must show what was acked, the moment it is acked. */
  checkVisible(projectId: string, answer: Answer): void {
    if (this.#rolledBack) return;
    const entries = this.changeLog.whole(projectId);
    checkMarks(projectId, entries, this.projections);
    const sessionId = answer.session.entity.session_id;
    const changed = answer.results.filter((result) => result.changed && !answer.duplicate);
    if (changed.length === 0) checkVisible(projectId, sessionId, answer.seq, entries, this.projections);
    const { sessions, tasks } = this.projections.save();
    for (const { kind, id, seq } of changed) {
      if (removedAt(entries, sessionId) > seq) continue;
      const shown =
        kind === "session" ? sessions.get(`${projectId}/${id}`) : tasks.get(`${projectId}/${sessionId}/${id}`);
      if ((shown?.entity.seq ?? 0) < seq) throw new Error(`${id} acked at ${seq}, but stands at ${shown?.entity.seq}`);
    }
  }

  lastAcked(projectId: string): number {
    return this.requests.reduce(
      (seq, request) => (request.projectId === projectId ? Math.max(seq, request.acked?.seq ?? 0) : seq),
      0,
    );
  }

  expectAtLeast(what: string, value: number, least: number): void {
    if (value < least) throw new Error(`${what} is ${value}, not at least ${least}`);
  }
}
