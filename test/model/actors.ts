import type { Answer, Command, OpenCommand } from "../../server/domain/commands.ts";
import { originalResults } from "../../server/writer/original-results.ts";
import type { Outcome } from "../../server/writer/outcome.ts";
import { type Session, type SessionStatus, TaskStatus } from "../../shared/entities.ts";
import type { JsonObject } from "../../shared/json.ts";
import type { Edit, PublishResult } from "../../shared/messages/changes-publish.ts";
import type { Random } from "../support/random.ts";
import type { World } from "./history.ts";
import { removedAt } from "./lives.ts";
import { LEASE, type SimHub } from "./sim-hub.ts";

/** What a client knows of one of its requests when the history is over. */
export interface Request {
  /** How its changes are found in the log: `op` of a session and incarnation, or a request_id. */
  readonly projectId: string;
  readonly sessionId: string;
  readonly incarnation?: number;
  readonly op?: number;
  readonly requestId?: string;
  /** What was answered: results of an ok, or undefined; `unknown` once an outcome was unknown. */
  acked: { readonly seq: number; readonly results: readonly PublishResult[] } | undefined;
  unknown: boolean;
}

/** After these a publish was certainly not applied; the others leave it open. */
const UNKNOWN = new Set(["UNAVAILABLE", "TIMEOUT", "INTERNAL"]);

const LIVE: readonly SessionStatus[] = ["ACTIVE", "IDLE", "WAITING", "PAUSED"];

function someMetadata(random: Random): JsonObject {
  const metadata: Record<string, JsonObject | number | string | null | (number | null)[]> = {};
  for (let left = random.integer(0, 3); left > 0; left--) {
    const key = random.pick(["a", "b", "c", "toString"]);
    metadata[key] = random.pick([null, 1, 2, "x", { d: random.integer(1, 3) }, { d: null, e: 1 }, [1, null]]);
  }
  return metadata;
}

function someEdits(random: Random, ends: number): Edit[] {
  const edits: Edit[] = [];
  if (random.chance(0.6)) {
    edits.push({
      kind: "session",
      ...(random.chance(0.6) ? { status: random.pick(random.chance(ends) ? ["FAILED"] : LIVE) } : {}),
      ...(random.chance(0.5) ? { metadata: someMetadata(random) } : {}),
    });
  }
  for (const task_id of ["t1", "t2", "t3"]) {
    if (!random.chance(0.4)) continue;
    edits.push({
      kind: "task",
      task_id,
      ...(random.chance(0.9) ? { title: random.pick(["one", "two"]) } : {}),
      ...(random.chance(0.4) ? { status: random.pick(TaskStatus.options) } : {}),
      ...(random.chance(0.3) ? { progress: random.next() } : {}),
      ...(random.chance(0.3) ? { metadata: someMetadata(random) } : {}),
    });
  }
  return edits.length > 0 ? edits : [{ kind: "session", metadata: someMetadata(random) }];
}

/** An agent's process: opens its session, publishes, repeats what was not answered, on whichever hub it finds. */
export class Agent {
  readonly #world: World;
  readonly #name: string;
  readonly #projectId: string;
  readonly #sessionId: string;
  #hub: SimHub | undefined;
  #incarnation = 0;
  #op = 0;
  #isOver = false;
  /** Virtual time until which nothing is heard of it. */
  #silentUntil = 0;

  constructor(world: World, name: string, projectId: string, sessionId: string) {
    this.#world = world;
    this.#name = name;
    this.#projectId = projectId;
    this.#sessionId = sessionId;
  }

  async run(publishes: number): Promise<void> {
    const beating = this.#beat();
    await this.#work(publishes);
    this.#isOver = true;
    await beating;
    if (this.#world.random.chance(0.5)) this.#disconnect();
  }

  async #work(publishes: number): Promise<void> {
    const { random, time, forgets } = this.#world;
    for (let left = publishes; left > 0; left--) {
      if (random.chance(0.5)) await time.sleep(random.next() * 30);
      if (random.chance(0.15)) await this.#fallSilent();
      if (!(await this.#open())) return;
      if (random.chance(0.1)) this.#disconnect();
      this.#op += random.integer(1, 2);
      if (!(await this.#publish(someEdits(random, forgets ? 0.3 : 0.04)))) return;
    }
  }

  /** Heartbeats, as often as they must come, whatever else is going on. */
  async #beat(): Promise<void> {
    const { random, time } = this.#world;
    while (!this.#isOver) {
      await time.sleep(random.next() * (LEASE.ttlMs / 3));
      if (time.monotonic() >= this.#silentUntil && this.#hub !== undefined) this.#isHeard(this.#hub);
    }
  }

  async #fallSilent(): Promise<void> {
    const { random, time } = this.#world;
    if (random.chance(0.5)) this.#disconnect();
    const ms = random.next() * 2 * (LEASE.ttlMs + LEASE.graceMs);
    this.#silentUntil = time.monotonic() + ms;
    await time.sleep(ms);
  }

  #isHeard(hub: SimHub): void {
    if (hub.isDead) return;
    this.#world.heard(hub, this.#projectId, this.#sessionId, this.#incarnation);
    hub.core.leases.onOwnerSeen(this.#projectId, this.#sessionId, this.#incarnation);
  }

  #disconnect(): void {
    this.#hub?.release(this);
    this.#hub = undefined;
  }

  /** Until the session is open on a hub that lives; false when somebody else has it or it is over. */
  async #open(): Promise<boolean> {
    const { random, time } = this.#world;
    while (this.#hub === undefined || this.#hub.isDead) {
      const hub = this.#world.someHub();
      this.#isHeard(hub);
      const outcome = await this.#world.submit(hub, this.#projectId, this.#openCommand(random.chance(0.1)));
      if (outcome?.ok === true) {
        this.#opened(hub, outcome.value);
      } else if (outcome !== undefined && ["INVALID_TRANSITION", "ALREADY_OWNED"].includes(outcome.refusal.code)) {
        return false;
      } else {
        await time.sleep(random.next() * 20);
      }
    }
    return true;
  }

  #openCommand(takeover: boolean): OpenCommand {
    return {
      type: "open",
      session_id: this.#sessionId,
      project_id: this.#projectId,
      machine_id: "m",
      agent_id: this.#name,
      status: "ACTIVE",
      environment: "production",
      metadata: {},
      parent_session_id: undefined,
      resumed_from: undefined,
      proven_incarnation: this.#incarnation,
      showed_token: this.#incarnation > 0,
      takeover,
      actor: { kind: "agent", id: this.#name },
    };
  }

  #opened(hub: SimHub, { session, seq }: Answer): void {
    this.#writeBeat(hub, session.entity);
    hub.hold(this, session.entity);
    this.#world.heard(hub, this.#projectId, this.#sessionId, session.entity.incarnation);
    this.#world.expectAtLeast("the position of an open", seq, session.entity.seq);
    this.#hub = hub;
    if (session.entity.incarnation !== this.#incarnation) this.#op = 0;
    this.#incarnation = session.entity.incarnation;
    this.#op = Math.max(this.#op, session.lastOp);
  }

  /** What the hub heard reaches the database at some time, perhaps when the session is gone. */
  #writeBeat(hub: SimHub, { project_id, session_id, incarnation }: Session): void {
    const lastHeartbeatAt = new Date(this.#world.time.now()).toISOString();
    const row = { projectId: project_id, sessionId: session_id, incarnation, lastHeartbeatAt, heartbeat: {} };
    const written = hub.beats.write(hub.hubId, [{ ...row, lastActivityAt: undefined, claim: true, isStill: false }]);
    written.catch(() => {});
  }

  /** Until the op has a certain outcome; false when the session is no longer this agent's. */
  async #publish(edits: readonly Edit[]): Promise<boolean> {
    const { random, time } = this.#world;
    const request = this.#world.request({
      projectId: this.#projectId,
      sessionId: this.#sessionId,
      incarnation: this.#incarnation,
      op: this.#op,
    });
    for (;;) {
      const incarnation = this.#incarnation;
      if (!(await this.#open()) || this.#incarnation !== incarnation) return false;
      const hub = this.#hub as SimHub;
      this.#isHeard(hub);
      const outcome = await this.#world.submit(hub, this.#projectId, {
        type: "publish",
        session_id: this.#sessionId,
        incarnation,
        op: request.op as number,
        edits,
        envelope: "changes",
        owns: true,
        actor: { kind: "agent", id: this.#name },
      });
      if (outcome === undefined || (!outcome.ok && UNKNOWN.has(outcome.refusal.code))) request.unknown = true;
      if (outcome?.ok === true) {
        if (!(await this.#acked(hub, request, outcome.value))) continue;
        // A lost ack: the same op is sent once more, and must get the same answer.
        if (random.chance(0.15)) {
          if (random.chance(0.5)) this.#disconnect();
          continue;
        }
        return true;
      }
      if (outcome !== undefined && !["UNAVAILABLE", "OVERLOADED", "INTERNAL"].includes(outcome.refusal.code)) {
        return outcome.refusal.code !== "FENCED";
      }
      await time.sleep(random.next() * 20);
    }
  }

  /** False when the original answer could not be read and has to be asked for again. */
  async #acked(hub: SimHub, request: Request, answer: Answer): Promise<boolean> {
    this.#world.checkVisible(request.projectId, answer);
    let { results } = answer;
    if (answer.duplicate) {
      try {
        const read = originalResults(hub.core.repair.changeLog, answer).then((original) => original ?? "trimmed");
        const original = await this.#world.orNever(hub, read);
        if (original === undefined) return false;
        if (original === "trimmed") return await this.#isTrimmed(request, answer);
        results = original;
      } catch (error) {
        if (String(error).includes("simulated")) return false;
        throw error;
      }
    }
    this.#world.acked(request, answer.seq, results);
    return true;
  }

  /** [P13] Without its results, since its entry is trimmed. */
  async #isTrimmed(request: Request, { seq }: Answer): Promise<true> {
    const logStart = (await this.#world.projections.readMark(request.projectId))?.logStart ?? 1;
    const isForgotten = removedAt(this.#world.changeLog.whole(request.projectId), request.sessionId) > seq;
    if (seq >= logStart && !isForgotten)
      throw new Error(`op ${request.op} is a duplicate, but its entry ${seq} is not in the log`);
    request.unknown = true;
    return true;
  }
}

/** A program that uses REST: creates and edits sessions, does not repeat anything. */
export async function operate(world: World, requests: number): Promise<void> {
  const { random, time } = world;
  for (let left = requests; left > 0; left--) {
    await time.sleep(random.next() * 60);
    const projectId = world.someProject();
    const sessionId = random.pick(["s1", "s2", "s3", "s4"]);
    const requestId = `r${world.requests.length}`;
    const request = world.request({ projectId, sessionId, requestId });
    const actor = { kind: "operator", id: "op" } as const;
    const cause = { session_id: sessionId, actor, request_id: requestId };
    const kind = random.integer(0, 9);
    const end = world.forgets && random.chance(0.4) ? { status: "CANCELLED" as const } : {};
    const command: Command =
      kind < 2
        ? { type: "create", project_id: projectId, machine_id: "m", ...cause }
        : kind < 3
          ? { type: "expire", ...cause }
          : { type: "edit", edits: [{ kind: "session", metadata: someMetadata(random), ...end }], ...cause };
    const outcome = await world.submit(world.someHub(), projectId, command);
    if (outcome === undefined || (!outcome.ok && UNKNOWN.has(outcome.refusal.code))) request.unknown = true;
    if (outcome?.ok !== true) continue;
    world.checkVisible(projectId, outcome.value);
    const results = outcome.value.results.filter(({ changed }) => changed);
    if (results.length > 0) world.acked(request, outcome.value.seq, results);
  }
}

export type Answered = Outcome<Answer> | undefined;
