import type { ProjectScope } from "../../server/domain/project-scope.ts";
import type { Entry } from "../../server/domain/records.ts";
import type { MemoryChangeLog } from "../../server/memory/change-log.ts";
import type { MemoryProjections } from "../../server/memory/projections.ts";
import type { AppendOutcome, ChangeLog, ProjectionBatch, Projections } from "../../server/ports.ts";
import type { Random } from "../support/random.ts";
import type { VirtualTime } from "../support/virtual-time.ts";

/** Probabilities of what goes wrong at the ports, and how slow they are. */
export interface Faults {
  /** Per entry: never arrives, answered `unknown`. */
  appendLost: number;
  /** Per entry: committed, answered `unknown`. */
  appendUnanswered: number;
  /** Per entry: answered `unknown`, arrives later. */
  appendLate: number;
  readFails: number;
  writeFails: number;
  /** Longest time that one call takes, one way. */
  latencyMs: number;
  /** Longest time after which a committed entry can be read by majority, before its writer is answered. */
  majorityLagMs: number;
  /** Per entry and hub: what is said between hubs is not heard, or heard twice. */
  busLoses: number;
  busDoubles: number;
  /** Longest time that it takes; what was said later may be heard sooner. */
  busDelayMs: number;
}

export const NO_FAULTS: Faults = {
  appendLost: 0,
  appendUnanswered: 0,
  appendLate: 0,
  readFails: 0,
  writeFails: 0,
  latencyMs: 2,
  majorityLagMs: 0,
  busLoses: 0,
  busDoubles: 0,
  busDelayMs: 1,
};

interface World {
  readonly time: VirtualTime;
  readonly random: Random;
  /** Of this moment; the nemesis changes them. */
  readonly faults: Faults;
}

/** A connection to the database: once `cut`, nothing is answered any more, but what is under way may still arrive. */
export class Wire {
  isCut = false;
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  get faults(): Faults {
    return this.#world.faults;
  }

  chance(probability: number): boolean {
    return probability > 0 && this.#world.random.chance(probability);
  }

  /** Up to `ms` of virtual time; none at all is likely too. */
  sleepUpTo(ms: number): Promise<void> {
    const { random, time } = this.#world;
    return time.sleep(random.chance(0.3) ? 0 : random.next() * ms);
  }

  async pass(): Promise<void> {
    await this.sleepUpTo(this.faults.latencyMs);
    if (this.isCut) await new Promise(() => {});
  }

  async read<T>(read: () => Promise<T>): Promise<T> {
    await this.pass();
    if (this.chance(this.faults.readFails)) throw new Error("read failed (simulated)");
    const value = await read();
    await this.pass();
    return value;
  }
}

/** Entries that are in the log but not yet read by majority. */
export class MajorityLag {
  readonly #hidden = new Set<Entry>();

  hide(entry: Entry): void {
    this.#hidden.add(entry);
  }

  show(entry: Entry): void {
    this.#hidden.delete(entry);
  }

  /** Majority reads see a prefix of what is in the log. */
  visible(entries: readonly Entry[]): Entry[] {
    const isHidden = (entry: Entry) =>
      [...this.#hidden].some(
        ({ project_id, from_seq }) => project_id === entry.project_id && from_seq === entry.from_seq,
      );
    const first = entries.findIndex(isHidden);
    return first === -1 ? [...entries] : entries.slice(0, first);
  }
}

/** The log behind a wire on which answers and requests get lost. */
export class FaultyChangeLog implements ChangeLog {
  readonly #log: MemoryChangeLog;
  readonly #wire: Wire;
  readonly #lag: MajorityLag;

  constructor(log: MemoryChangeLog, wire: Wire, lag: MajorityLag) {
    this.#log = log;
    this.#wire = wire;
    this.#lag = lag;
  }

  async append(entries: readonly Entry[]): Promise<readonly AppendOutcome[]> {
    await this.#wire.sleepUpTo(this.#wire.faults.latencyMs);
    const outcomes = await Promise.all(entries.map((entry) => this.#append(entry)));
    await this.#wire.pass();
    return outcomes;
  }

  async #append(entry: Entry): Promise<AppendOutcome> {
    const { faults } = this.#wire;
    if (this.#wire.chance(faults.appendLost)) return "unknown";
    if (this.#wire.chance(faults.appendLate)) {
      // Perhaps when what had its place is trimmed.
      const ms = this.#wire.chance(0.1) ? 2_000 : 60;
      void this.#wire.sleepUpTo(ms).then(() => this.#log.append([entry]));
      return "unknown";
    }
    const [outcome = "unknown"] = await this.#log.append([entry]);
    if (outcome === "committed" && faults.majorityLagMs > 0) {
      this.#lag.hide(entry);
      const shown = this.#wire.sleepUpTo(faults.majorityLagMs).then(() => this.#lag.show(entry));
      if (this.#wire.chance(faults.appendUnanswered)) return "unknown";
      await shown;
      return outcome;
    }
    return this.#wire.chance(faults.appendUnanswered) ? "unknown" : outcome;
  }

  readHead(projectId: string) {
    return this.#wire.read(async () => {
      const last = this.#lag.visible(this.#log.entries(projectId)).at(-1);
      return last === undefined ? undefined : { epoch: last.epoch, seq: last.to_seq, at: last.at };
    });
  }

  readAfter(projectId: string, seq: number, limit: number) {
    return this.#wire.read(async () => this.#lag.visible(await this.#log.readAfter(projectId, seq, limit)));
  }

  readHolding(projectId: string, seq: number) {
    return this.#wire.read(async () => {
      const entry = await this.#log.readHolding(projectId, seq);
      return entry === undefined ? undefined : this.#lag.visible([entry])[0];
    });
  }

  readSpan(projectId: string, seq: number) {
    return this.#wire.read(() => this.#log.readSpan(projectId, seq));
  }

  async *readRange(projectId: string, after: number, to: number) {
    yield await this.#wire.read(async () => {
      const entries: Entry[] = [];
      for await (const slice of this.#log.readRange(projectId, after, to)) entries.push(...slice);
      return this.#lag.visible(entries);
    });
  }

  readAfterOfSessions(projectId: string, seq: number, sessionIds: readonly string[]) {
    return this.#wire.read(async () =>
      this.#lag.visible(await this.#log.readAfterOfSessions(projectId, seq, sessionIds)),
    );
  }

  deleteBefore(projectId: string, seq: number) {
    return this.#wire.read(() => this.#log.deleteBefore(projectId, seq));
  }

  readRemovals(...given: Parameters<ChangeLog["readRemovals"]>) {
    return this.#wire.read(() => this.#log.readRemovals(...given));
  }

  redact(...given: Parameters<ChangeLog["redact"]>) {
    return this.#wire.read(() => this.#log.redact(...given));
  }

  findAhead(heads: Parameters<ChangeLog["findAhead"]>[0]) {
    return this.#wire.read(() => this.#log.findAhead(heads));
  }

  async *projectIds(): AsyncIterable<string> {
    await this.#wire.pass();
    yield* this.#log.projectIds();
  }
}

/** Documents behind a wire: a write that failed may have been done, in part or later. */
export class FaultyProjections implements Projections {
  readonly #projections: MemoryProjections;
  readonly #wire: Wire;
  readonly #durable: () => MemoryProjections | undefined;

  constructor(projections: MemoryProjections, wire: Wire, durable: () => MemoryProjections | undefined) {
    this.#projections = projections;
    this.#wire = wire;
    this.#durable = durable;
  }

  async write(batch: ProjectionBatch): Promise<void> {
    await this.#wire.pass();
    if (!this.#wire.chance(this.#wire.faults.writeFails)) {
      await this.#projections.write(batch);
      await this.#wire.pass();
      return;
    }
    const part = { sessions: batch.sessions.filter(() => this.#wire.chance(0.5)), tasks: [] };
    await this.#projections.write(part);
    if (this.#wire.chance(0.5)) void this.#wire.sleepUpTo(60).then(() => this.#projections.write(batch));
    throw new Error("write failed (simulated)");
  }

  async settle(): Promise<void> {
    await this.#wire.pass();
    if (this.#wire.chance(this.#wire.faults.writeFails)) throw new Error("write failed (simulated)");
    // What is about to be lost never gets a majority.
    while (this.#durable() !== undefined) await this.#wire.sleepUpTo(5);
    await this.#wire.pass();
  }

  readMark(projectId: string) {
    return this.#wire.read(() => (this.#durable() ?? this.#projections).readMark(projectId));
  }

  readProjectedSeqs(projectIds: readonly string[]) {
    return this.#wire.read(() => this.#projections.readProjectedSeqs(projectIds));
  }

  createMark(...given: Parameters<Projections["createMark"]>) {
    return this.#raise(() => this.#projections.createMark(...given));
  }

  raiseLogStart(projectId: string, logStart: number) {
    return this.#raise(async () => {
      // What is about to be lost never gets a majority.
      while (this.#durable() !== undefined) await this.#wire.sleepUpTo(5);
      await this.#projections.raiseLogStart(projectId, logStart);
    });
  }

  raiseForgotten(projectId: string, seq: number) {
    return this.#raise(() => this.#projections.raiseForgotten(projectId, seq));
  }

  findSessionIds(...given: Parameters<Projections["findSessionIds"]>) {
    return this.#wire.read(() => this.#projections.findSessionIds(...given));
  }

  findEndedSessionIds(...given: Parameters<Projections["findEndedSessionIds"]>) {
    return this.#wire.read(() => this.#projections.findEndedSessionIds(...given));
  }

  raiseMarks(ranges: Parameters<Projections["raiseMarks"]>[0]) {
    return this.#raise(() => this.#projections.raiseMarks(ranges));
  }

  readFamilies(projectId: string, sessionIds: readonly string[]) {
    return this.#wire.read(() => (this.#durable() ?? this.#projections).readFamilies(projectId, sessionIds));
  }

  readWindow(projectId: string, endedSince: string) {
    return this.#wire.read(async () => {
      // Two queries in truth: the tasks are read later than the sessions.
      const { sessions } = await (this.#durable() ?? this.#projections).readWindow(projectId, endedSince);
      await this.#wire.pass();
      const { tasks } = await (this.#durable() ?? this.#projections).readWindow(projectId, endedSince);
      const shown = new Set(sessions.map(({ entity }) => entity.session_id));
      return { sessions, tasks: tasks.filter(({ entity }) => shown.has(entity.session_id)) };
    });
  }

  findSessionsById(sessionId: string, scope: ProjectScope) {
    return this.#wire.read(() => this.#projections.findSessionsById(sessionId, scope));
  }

  async #raise<T>(raise: () => Promise<T>): Promise<T> {
    await this.#wire.pass();
    const isDone = !this.#wire.chance(this.#wire.faults.writeFails) || this.#wire.chance(0.5);
    const value = isDone ? await raise() : undefined;
    await this.#wire.pass();
    if (value === undefined && !isDone) throw new Error("write failed (simulated)");
    return value as T;
  }
}
