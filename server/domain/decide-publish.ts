import { isFinal, type Session, type Task } from "../../shared/entities.ts";
import { type FieldError, type Refusal, refuse, refuseFields } from "../../shared/errors.ts";
import type { Edit, PublishResult } from "../../shared/messages/changes-publish.ts";
import type { DecideContext, Decision, EditCommand, PublishCommand } from "./commands.ts";
import { editSession, refuseTransition } from "./edit-session.ts";
import { createTask, editTask } from "./edit-task.ts";
import type { FamilyView, SessionRecord } from "./records.ts";
import { type Cause, Staging } from "./staging.ts";

/** `changes:publish` and `session:close`. The order of the checks is part of the protocol. */
export function decidePublish(command: PublishCommand, family: FamilyView, context: DecideContext): Decision {
  const record = family.session;
  if (record === undefined) return notOpen(command);
  const { entity, lastOp } = record;
  if (command.incarnation === entity.incarnation && command.op === lastOp) {
    return duplicate(record, command.edits, family);
  }
  if (command.incarnation < entity.incarnation) {
    const message = `a newer agent owns session ${command.session_id} (incarnation ${entity.incarnation})`;
    return { kind: "refused", refusal: refuse("FENCED", message, { incarnation: entity.incarnation }) };
  }
  // Opening it would be no way out of a final session, so this answer goes before "not open here".
  if (isFinal(entity.status)) {
    return { kind: "refused", refusal: refuseTransition(entity.status, wantedStatus(command.edits, entity)) };
  }
  if (!command.owns || command.incarnation > entity.incarnation) return notOpen(command);
  if (command.op < lastOp) {
    const message = `must be greater than the last applied op, ${lastOp}`;
    return { kind: "refused", refusal: refuseFields([{ field: "op", message }]) };
  }
  const { actor, incarnation, op } = command;
  const decision = decideEdits(command.edits, record, family, { actor, incarnation, op }, context);
  return command.envelope === "changes" ? decision : withoutEnvelope(decision);
}

/** `PATCH /sessions/{id}` and other edits without an owner. */
export function decideEdit(command: EditCommand, family: FamilyView, context: DecideContext): Decision {
  if (family.session === undefined) {
    return { kind: "refused", refusal: refuse("NOT_FOUND", `no session ${command.session_id}`) };
  }
  const { actor, request_id } = command;
  return decideAlone(command.edits, family.session, family, { actor, request_id }, context);
}

/** Edits of a request whose fields stand in it directly, not inside `changes`. */
export function decideAlone(...given: Parameters<typeof decideEdits>): Decision {
  return withoutEnvelope(decideEdits(...given));
}

function notOpen(command: PublishCommand): Decision {
  const message = `session ${command.session_id} is not open on this connection; send session:open first`;
  return { kind: "refused", refusal: refuse("NOT_FOUND", message) };
}

/** The results are those of now; the writer's edge puts in what the log says of then. */
function duplicate(record: SessionRecord, edits: readonly Edit[], family: FamilyView): Decision {
  const results = edits.flatMap((edit): PublishResult[] => {
    const entity = edit.kind === "session" ? record.entity : family.task(edit.task_id)?.entity;
    if (entity === undefined) return [];
    const id = edit.kind === "session" ? record.entity.session_id : edit.task_id;
    return [{ kind: edit.kind, id, version: entity.version, seq: entity.seq, changed: false }];
  });
  const answer = { session: record, created: false, resumed: false, results, seq: record.lastOpSeq, duplicate: true };
  return { kind: "accepted", changes: [], session: undefined, tasks: [], answer };
}

/** All edits or none. */
function decideEdits(
  edits: readonly Edit[],
  record: SessionRecord,
  family: FamilyView,
  cause: Cause,
  context: DecideContext,
): Decision {
  if (isFinal(record.entity.status)) {
    return { kind: "refused", refusal: refuseTransition(record.entity.status, wantedStatus(edits, record.entity)) };
  }
  for (const edit of edits) {
    const conflict = versionConflict(
      edit.expected_version,
      edit.kind === "session" ? record : family.task(edit.task_id),
    );
    if (conflict !== undefined) return { kind: "refused", refusal: conflict };
  }
  const staging = new Staging(family, cause, context);
  const results: PublishResult[] = [];
  let newTasks = 0;
  for (const [index, edit] of edits.entries()) {
    const staged = stageEdit(edit, record, family, staging, context);
    if ("refusal" in staged) return { kind: "refused", refusal: inEnvelope(staged.refusal, index) };
    results.push(staged);
    if (edit.kind === "task" && staged.version === 1 && staged.changed) newTasks += 1;
  }
  if (family.taskCount + newTasks > context.limits.tasks_per_session) {
    const message = `a session holds at most ${context.limits.tasks_per_session} tasks`;
    return { kind: "refused", refusal: refuse("LIMIT_EXCEEDED", message, { limit: context.limits.tasks_per_session }) };
  }
  return staging.accept(results);
}

function stageEdit(
  edit: Edit,
  record: SessionRecord,
  family: FamilyView,
  staging: Staging,
  { at, limits }: DecideContext,
): PublishResult | { readonly refusal: Refusal } {
  if (edit.kind === "session") {
    const edited = editSession(record.entity, edit, at, limits);
    return "refusal" in edited ? edited : staging.stageSession(edited.after);
  }
  const before = family.task(edit.task_id);
  const edited =
    before === undefined ? createTask(record.entity, edit, at, limits) : editTask(before.entity, edit, at, limits);
  return "refusal" in edited ? edited : staging.stageTask(edited.after);
}

/** `expected_version` matches from the last edit to the current version; 0 means "must not exist". */
function versionConflict(
  expected: number | undefined,
  record: { readonly entity: Session | Task; readonly editVersion: number } | undefined,
): Refusal | undefined {
  if (expected === undefined) return undefined;
  if (record === undefined) {
    if (expected === 0) return undefined;
    return refuse("VERSION_CONFLICT", `version ${expected} was expected, but it does not exist`, { expected });
  }
  const { version } = record.entity;
  if (expected > 0 && expected >= record.editVersion && expected <= version) return undefined;
  return refuse("VERSION_CONFLICT", `version ${expected} was expected, it is ${version}`, {
    expected,
    current: record.entity,
  });
}

function wantedStatus(edits: readonly Edit[], session: Session): Session["status"] {
  for (const edit of edits) if (edit.kind === "session" && edit.status !== undefined) return edit.status;
  return session.status;
}

/** Names the element of `changes` that was refused. */
function inEnvelope(refusal: Refusal, index: number): Refusal {
  return renameFields(refusal, (field) => `changes[${index}].${field}`);
}

/** The same decision for a request whose single edit is not inside `changes`. */
function withoutEnvelope(decision: Decision): Decision {
  if (decision.kind === "accepted") return decision;
  const refusal = renameFields(decision.refusal, (field) => field.replace(/^changes\[0\]\./, ""));
  return { kind: "refused", refusal };
}

function renameFields(refusal: Refusal, rename: (field: string) => string): Refusal {
  if (refusal.code !== "VALIDATION") return refusal;
  const errors = (refusal.details?.errors ?? []) as readonly FieldError[];
  return refuseFields(errors.map(({ field, message }) => ({ field: rename(field), message })));
}
