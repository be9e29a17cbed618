import { BOUNDS } from "../../server/bounds.ts";
import type { Accepted, Command, DecideContext, Decision } from "../../server/domain/commands.ts";
import { decide } from "../../server/domain/decide.ts";
import { EMPTY_HEAD, type Entry, Family, type LogChange } from "../../server/domain/records.ts";
import type { Logger } from "../../server/ports.ts";
import type { Session } from "../../shared/entities.ts";
import { DEFAULT_LIMITS } from "../../shared/limits.ts";

export const AT = "2026-11-22T06:00:00.000Z";

/** The time `seconds` after `AT`. */
export function atSecond(seconds: number): string {
  return new Date(Date.parse(AT) + seconds * 1_000).toISOString();
}

export const QUIET: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** A live session right after its creation; `over` is what the test is about. */
export function sampleSession(over: Partial<Session> = {}): Session {
  return {
    session_id: "s",
    project_id: "p",
    status: "ACTIVE",
    liveness: "online",
    machine_id: "m",
    environment: "production",
    metadata: {},
    incarnation: 1,
    created_at: AT,
    updated_at: AT,
    version: 1,
    seq: 1,
    ...over,
  };
}

/** What a decision is made with, for the change after `seq`. */
export function contextAfter(seq: number, over: Partial<DecideContext> = {}): DecideContext {
  return {
    head: seq === 0 ? EMPTY_HEAD : { epoch: "e", seq, at: AT },
    nextSeq: seq + 1,
    at: atSecond(seq),
    hubId: "hub.1",
    limits: DEFAULT_LIMITS,
    stateEveryVersions: BOUNDS.stateEveryVersions,
    ...over,
  };
}

/** An entry with these changes, of project `p` unless said otherwise. */
export function entryOf(changes: readonly LogChange[], over: Partial<Entry> = {}): Entry {
  const from_seq = changes[0]?.seq ?? 1;
  const to_seq = changes.at(-1)?.seq ?? from_seq;
  return {
    project_id: "p",
    from_seq,
    to_seq,
    epoch: "e",
    hub_id: "hub.1",
    at: atSecond(from_seq - 1),
    changes,
    ...over,
  };
}

/** A change that creates a session, as `session:open` makes it. */
export function creation(seq: number, sessionId = "s", projectId = "p"): LogChange {
  const decision = decide(openOf(sessionId, projectId), new Family(), contextAfter(seq - 1));
  const [change] = decision.kind === "accepted" ? decision.changes : [];
  if (change === undefined) throw new Error("not created");
  return change;
}

export function openOf(sessionId = "s", projectId = "p"): Extract<Command, { type: "open" }> {
  return {
    type: "open",
    session_id: sessionId,
    project_id: projectId,
    machine_id: "m",
    agent_id: "a",
    status: "ACTIVE",
    environment: "production",
    metadata: {},
    parent_session_id: undefined,
    resumed_from: undefined,
    proven_incarnation: 0,
    showed_token: false,
    takeover: false,
    actor: { kind: "agent", id: "a" },
  };
}

export function publishOf(
  op: number,
  edits: Extract<Command, { type: "publish" }>["edits"],
  over: Partial<Extract<Command, { type: "publish" }>> = {},
): Extract<Command, { type: "publish" }> {
  return {
    type: "publish",
    session_id: "s",
    incarnation: 1,
    op,
    edits,
    envelope: "changes",
    owns: true,
    actor: { kind: "agent", id: "a" },
    ...over,
  };
}

/** A family that commands are applied to one after the other, as a hub does: decide, put, next. */
export class Scene {
  readonly family = new Family();
  readonly entries: Entry[] = [];
  seq = 0;

  decide(command: Command, over: Partial<DecideContext> = {}): Decision {
    return decide(command, this.family, contextAfter(this.seq, over));
  }

  /** Decides, and takes over what was decided. */
  apply(command: Command, over: Partial<DecideContext> = {}): Accepted {
    const decision = this.decide(command, over);
    if (decision.kind === "refused") throw new Error(`refused: ${decision.refusal.code} ${decision.refusal.message}`);
    if (decision.changes.length > 0) {
      const at = over.at ?? atSecond(this.seq);
      this.entries.push(entryOf(decision.changes, { at }));
      this.seq += decision.changes.length;
    }
    if (decision.session !== undefined) this.family.session = decision.session;
    for (const record of decision.tasks) this.family.tasks.set(record.entity.task_id, record);
    return decision;
  }

  refusal(command: Command, over: Partial<DecideContext> = {}) {
    const decision = this.decide(command, over);
    if (decision.kind === "accepted") throw new Error("accepted");
    return decision.refusal;
  }
}
