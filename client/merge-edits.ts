import { isFinal } from "../shared/entities.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../shared/json.ts";
import type { Edit, SessionEdit, TaskEdit } from "../shared/messages/changes-publish.ts";

/** Names the entity of an edit within its session. */
export function entityOf(edit: Edit): string {
  return edit.kind === "session" ? "session" : `task/${edit.task_id}`;
}

/**
 * One edit that means the same as `first` and then `second`, or undefined when there is none, or when merging could
 * make the hub accept what it would refuse in order (a skipped transition). Then they have to be sent one after the other.
 */
export function mergeEdits(first: Edit, second: Edit): Edit | undefined {
  // The second expectation is about the version that the first edit leads to, which nobody knows yet.
  if (second.expected_version !== undefined) return undefined;
  if (first.kind === "session" && second.kind === "session") return mergeSessionEdits(first, second);
  if (first.kind === "task" && second.kind === "task" && first.task_id === second.task_id) {
    return mergeTaskEdits(first, second);
  }
  return undefined;
}

/** Live statuses of a session may follow one another in any order, so the later one wins; nothing follows a final one. */
function mergeSessionEdits(first: SessionEdit, second: SessionEdit): SessionEdit | undefined {
  if (first.status !== undefined && isFinal(first.status)) return undefined;
  const waiting = mergeWaiting(first, second);
  const metadata = mergeMetadata(first, second);
  if (waiting === undefined || metadata === undefined) return undefined;
  return { kind: "session", ...waiting, ...metadata, ...expectation(first) };
}

/** `waiting_for` belongs to `WAITING`: it is replaced as a whole and goes when the status changes to something else. */
function mergeWaiting(
  first: SessionEdit,
  second: SessionEdit,
): Pick<SessionEdit, "status" | "waiting_for"> | undefined {
  if (second.status === undefined && second.waiting_for === undefined) return pickWaiting(first);
  if (first.waiting_for !== undefined && first.status !== "WAITING") return undefined;
  if (second.status === undefined) {
    return first.status === "WAITING" ? pickWaiting({ ...second, status: "WAITING" }) : undefined;
  }
  // WAITING once more without a question: whether the earlier question stays is the hub's to say.
  if (second.status === "WAITING" && second.waiting_for === undefined && first.status === "WAITING") return undefined;
  return pickWaiting(second);
}

function pickWaiting(edit: Pick<SessionEdit, "status" | "waiting_for">): Pick<SessionEdit, "status" | "waiting_for"> {
  return {
    ...(edit.status === undefined ? {} : { status: edit.status }),
    ...(edit.waiting_for === undefined ? {} : { waiting_for: edit.waiting_for }),
  };
}

/** A task's statuses have an order, so two different ones are two steps that the hub has to see. */
function mergeTaskEdits(first: TaskEdit, second: TaskEdit): TaskEdit | undefined {
  if (first.status !== undefined && isFinal(first.status)) return undefined;
  // Without a status the first edit may create the task, as PENDING.
  const statusAfterFirst = first.status ?? (first.title === undefined ? undefined : "PENDING");
  if (second.status !== undefined && statusAfterFirst !== undefined && second.status !== statusAfterFirst) {
    return undefined;
  }
  const metadata = mergeMetadata(first, second);
  if (metadata === undefined) return undefined;
  return { ...first, ...second, ...metadata, ...expectation(first) };
}

function expectation(first: Edit): Pick<Edit, "expected_version"> {
  return first.expected_version === undefined ? {} : { expected_version: first.expected_version };
}

function mergeMetadata(first: Edit, second: Edit): Pick<Edit, "metadata"> | undefined {
  if (second.metadata === undefined) return first.metadata === undefined ? {} : { metadata: first.metadata };
  if (first.metadata === undefined) return { metadata: second.metadata };
  const metadata = composePatches(first.metadata, second.metadata);
  return metadata === undefined ? undefined : { metadata };
}

/**
 * The merge patch (RFC 7396) that does what `first` and then `second` do to every target, or undefined when none does:
 * "delete k, then put an object at k" replaces whatever lies at k, which a merge patch cannot say of an object.
 */
export function composePatches(first: JsonObject, second: JsonObject): JsonObject | undefined {
  const composed: Record<string, JsonValue> = { ...first };
  for (const [key, later] of Object.entries(second)) {
    if (!isJsonObject(later) || !Object.hasOwn(first, key)) {
      composed[key] = later;
      continue;
    }
    const earlier = first[key];
    const inner = isJsonObject(earlier) ? composePatches(earlier, later) : undefined;
    if (inner === undefined) return undefined;
    composed[key] = inner;
  }
  return composed;
}
