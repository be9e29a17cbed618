import type { Actor, ChangeType, Session, Task } from "../../shared/entities.ts";
import type { JsonObject } from "../../shared/json.ts";
import { diffPatch } from "../../shared/merge-patch.ts";
import type { PublishResult } from "../../shared/messages/changes-publish.ts";
import type { Accepted, Answer } from "./commands.ts";
import type { FamilyView, LogChange, SessionRecord, TaskRecord } from "./records.ts";
import { standingOf } from "./standing.ts";

/** Who caused the changes of one command; stands in each of them. */
export interface Cause {
  readonly actor: Actor;
  /** Incarnation under which an agent acts. */
  readonly incarnation?: number;
  readonly op?: number;
  readonly request_id?: string;
}

export interface StagingContext {
  /** Seq of the next change. */
  readonly nextSeq: number;
  /** Time of the entry. */
  readonly at: string;
  /** Every so many versions the change carries the whole state beside its patch. */
  readonly stateEveryVersions: number;
}

/** The changes of one command, numbered as if they were in the log already. What would change nothing is not staged. */
export class Staging {
  readonly #changes: LogChange[] = [];
  readonly #tasks: TaskRecord[] = [];
  #session: SessionRecord | undefined;
  readonly #family: FamilyView;
  readonly #cause: Cause;
  readonly #context: StagingContext;

  constructor(family: FamilyView, cause: Cause, context: StagingContext) {
    this.#family = family;
    this.#cause = cause;
    this.#context = context;
  }

  stageSession(after: Session, type?: ChangeType): PublishResult {
    const before = this.#family.session;
    const entity = this.#stage("session", after.session_id, before?.entity, after, type);
    if (entity === undefined) return unchanged("session", before?.entity ?? after);
    const sameOwner = before !== undefined && before.entity.incarnation === entity.incarnation;
    this.#session = {
      entity,
      appliedSeq: entity.seq,
      lastOp: sameOwner ? before.lastOp : 0,
      lastOpSeq: sameOwner ? before.lastOpSeq : 0,
      editVersion: this.#cause.actor.kind === "hub" ? (before?.editVersion ?? 0) : entity.version,
    };
    return changed("session", entity.session_id, entity);
  }

  stageTask(after: Task, type?: ChangeType): PublishResult {
    const before = this.#family.task(after.task_id);
    const entity = this.#stage("task", after.task_id, before?.entity, after, type);
    if (entity === undefined) return unchanged("task", before?.entity ?? after);
    this.#tasks.push({
      entity,
      appliedSeq: entity.seq,
      editVersion: this.#cause.actor.kind === "hub" ? (before?.editVersion ?? 0) : entity.version,
    });
    return changed("task", entity.task_id, entity);
  }

  /** The decision to make what was staged; `results` are those of staging, in the order of the request. */
  accept(results: readonly PublishResult[], what: Partial<Pick<Answer, "created" | "resumed">> = {}): Accepted {
    const session = this.#marked();
    return {
      kind: "accepted",
      changes: this.#changes,
      session,
      tasks: this.#tasks,
      answer: {
        // Something was staged, or nothing could change: either way there is a session.
        session: session ?? (this.#family.session as SessionRecord),
        created: false,
        resumed: false,
        ...what,
        results,
        seq: this.#changes.at(-1)?.seq ?? this.#context.nextSeq - 1,
        duplicate: false,
      },
    };
  }

  /** The session with its marks at the last staged change; undefined when nothing was staged. */
  #marked(): SessionRecord | undefined {
    const last = this.#changes.at(-1);
    const session = this.#session ?? this.#family.session;
    if (last === undefined || session === undefined) return undefined;
    const { op } = this.#cause;
    return { ...session, appliedSeq: last.seq, ...(op === undefined ? {} : { lastOp: op, lastOpSeq: last.seq }) };
  }

  #stage<E extends Session | Task>(
    kind: E extends Session ? "session" : "task",
    id: string,
    before: E | undefined,
    after: E,
    type: ChangeType | undefined,
  ): E | undefined {
    const patch = before === undefined ? undefined : diffPatch(asJson(before), asJson(after));
    if (before !== undefined && patch === undefined) return undefined;
    const { at, nextSeq, stateEveryVersions } = this.#context;
    const seq = nextSeq + this.#changes.length;
    const version = (before?.version ?? 0) + 1;
    const entity: E = { ...after, updated_at: at, version, seq };
    const changeType = type ?? (before === undefined || patch === undefined ? "created" : typeOf(before, after, patch));
    const replaces = changeType === "created" || changeType === "reopened";
    const { actor, incarnation, op, request_id } = this.#cause;
    this.#changes.push({
      seq,
      kind,
      id,
      session_id: after.session_id,
      version,
      type: changeType,
      actor,
      ...(replaces || patch === undefined ? {} : { patch }),
      ...(replaces || version % stateEveryVersions === 0 ? { state: entity } : {}),
      ...(incarnation === undefined ? {} : { incarnation }),
      ...(op === undefined ? {} : { op }),
      ...(request_id === undefined ? {} : { request_id }),
      ...stoodBefore(before, entity, replaces),
    } as LogChange);
    return entity;
  }
}

/** For those who count: a session that moved, or whose change tells no difference. */
function stoodBefore(before: Session | Task | undefined, after: Session | Task, replaces: boolean) {
  if (before === undefined || !("liveness" in before) || !("liveness" in after)) return {};
  const was = standingOf(before);
  return replaces || was !== standingOf(after) ? { was } : {};
}

function typeOf(before: Session | Task, after: Session | Task, patch: JsonObject): ChangeType {
  if (after.ended_at !== undefined && before.ended_at === undefined) return "ended";
  if (after.ended_at === undefined && before.ended_at !== undefined) return "reopened";
  return patch.liveness !== undefined && isVerdict(patch) ? "liveness" : "updated";
}

/** Nothing but liveness and what belongs to it. */
function isVerdict({ liveness: _, lost_at: __, metadata = {}, ...rest }: JsonObject): boolean {
  return Object.keys(rest).length === 0 && Object.keys(metadata ?? {}).every((key) => key === "recovery_attempts");
}

function changed(kind: "session" | "task", id: string, entity: Session | Task): PublishResult {
  return { kind, id, version: entity.version, seq: entity.seq, changed: true };
}

function unchanged(kind: "session" | "task", entity: Session | Task): PublishResult {
  const id = "task_id" in entity ? entity.task_id : entity.session_id;
  return { kind, id, version: entity.version, seq: entity.seq, changed: false };
}

/** Entities are plain JSON objects; their interfaces just have no index signature. */
function asJson(entity: Session | Task): JsonObject {
  return entity as unknown as JsonObject;
}
