import { type Refusal, refuse } from "../../shared/errors.ts";
import { jsonEqual } from "../../shared/json.ts";
import { mergePatch } from "../../shared/merge-patch.ts";
import type { CreateTaskCommand, DecideContext, Decision, EditTaskCommand } from "./commands.ts";
import { decideAlone } from "./decide-publish.ts";
import type { FamilyView, SessionRecord, TaskRecord } from "./records.ts";

/** `POST /sessions/{id}/tasks`. What is there already is compared first, so that a repeated request finds it also after the session's end. */
export function decideCreateTask(command: CreateTaskCommand, family: FamilyView, context: DecideContext): Decision {
  const { session_id, task, actor, request_id } = command;
  if (family.session === undefined) return refuseMissing(`no session ${session_id}`);
  const existing = family.task(task.task_id);
  if (existing !== undefined) return compare(command, family.session, existing, context);
  const edits = [{ kind: "task" as const, ...task }];
  const decision = decideAlone(edits, family.session, family, { actor, request_id }, context);
  return withTask(decision, { created: true }, undefined);
}

/** `PATCH /sessions/{id}/tasks/{task_id}`. */
export function decideEditTask(command: EditTaskCommand, family: FamilyView, context: DecideContext): Decision {
  const { session_id, edit, actor, request_id } = command;
  const before = family.task(edit.task_id);
  if (family.session === undefined || before === undefined) {
    return refuseMissing(`no task ${edit.task_id} in session ${session_id}`);
  }
  const decision = decideAlone([edit], family.session, family, { actor, request_id }, context);
  return withTask(decision, {}, before);
}

function compare(
  { session_id, task: given }: CreateTaskCommand,
  session: SessionRecord,
  existing: TaskRecord,
  { head }: DecideContext,
): Decision {
  // As it would have been stored: nulls are dropped in a creation.
  const wanted = { ...given, metadata: given.metadata && mergePatch({}, given.metadata) };
  const differing = (Object.keys(wanted) as (keyof typeof wanted)[]).filter(
    (field) => wanted[field] !== undefined && !jsonEqual(wanted[field], existing.entity[field]),
  );
  if (differing.length > 0) {
    const message = `task ${given.task_id} exists in session ${session_id} with another ${differing.join(", ")}`;
    return { kind: "refused", refusal: refuse("ALREADY_EXISTS", message, { fields: differing }) };
  }
  const outcome = { created: false, resumed: false, results: [], seq: head.seq, duplicate: false };
  return {
    kind: "accepted",
    changes: [],
    session: undefined,
    tasks: [],
    answer: { session, task: existing, ...outcome },
  };
}

/** The answer tells the task as it is then: the staged one, or the one before where nothing changes. */
function withTask(decision: Decision, what: { readonly created?: true }, before: TaskRecord | undefined): Decision {
  if (decision.kind === "refused") return decision;
  const task = decision.tasks[0] ?? before;
  return { ...decision, answer: { ...decision.answer, ...what, ...(task === undefined ? {} : { task }) } };
}

function refuseMissing(message: string): { readonly kind: "refused"; readonly refusal: Refusal } {
  return { kind: "refused", refusal: refuse("NOT_FOUND", message) };
}
