import type { Actor, Session, Task } from "../../shared/entities.ts";
import { type Refusal, refuse, refuseFields } from "../../shared/errors.ts";
import { jsonEqual } from "../../shared/json.ts";
import type { SessionEdit, TaskEdit } from "../../shared/messages/changes-publish.ts";
import { accepted, type Outcome, refused } from "../writer/outcome.ts";
import type { Writer } from "../writer/writer.ts";
import { acceptedVersions } from "./etag.ts";
import { invalid } from "./problem.ts";

interface Fields {
  /** Never change once the entity is there. */
  readonly fixed: readonly string[];
  /** Kept by the hub; they may have moved on since the client read them. */
  readonly keptByHub: readonly string[];
}

const SESSION_FIELDS: Fields = {
  fixed: ["session_id", "project_id", "environment", "parent_session_id", "resumed_from", "created_at"],
  keptByHub: [
    ...["liveness", "machine_id", "agent_id", "hub_id", "incarnation"],
    ...["updated_at", "ended_at", "lost_at", "version", "seq"],
  ],
};

const TASK_FIELDS: Fields = {
  fixed: ["task_id", "session_id", "project_id", "created_at"],
  keptByHub: ["updated_at", "ended_at", "version", "seq"],
};

interface EditRequest {
  readonly actor: Actor;
  readonly requestId: string;
  readonly rawBody: Readonly<Record<string, unknown>>;
  readonly bytes: number;
  readonly ifMatch: string | undefined;
}

/** A PATCH of a session: the session as it is then. `before` is as it was read for this request. */
export function editSession(
  writer: Pick<Writer, "submit">,
  before: Session,
  wanted: Omit<SessionEdit, "kind">,
  request: EditRequest,
): Promise<Outcome<Session>> {
  const { actor, requestId: request_id, bytes } = request;
  return editVersions(before, wanted.expected_version, SESSION_FIELDS, request, async (expected_version) => {
    const edits: SessionEdit[] = [{ kind: "session", ...wanted, expected_version }];
    const outcome = await writer.submit(
      before.project_id,
      { type: "edit", session_id: before.session_id, edits, actor, request_id },
      bytes,
    );
    return outcome.ok ? accepted(outcome.value.session.entity) : outcome;
  });
}

/** A PATCH of a task, likewise. */
export function editTask(
  writer: Pick<Writer, "submit">,
  before: Task,
  wanted: Omit<TaskEdit, "kind" | "task_id">,
  request: EditRequest,
): Promise<Outcome<Task>> {
  const { actor, requestId: request_id, bytes } = request;
  return editVersions(before, wanted.expected_version, TASK_FIELDS, request, async (expected_version) => {
    const edit: TaskEdit = { kind: "task", task_id: before.task_id, ...wanted, expected_version };
    const outcome = await writer.submit(
      before.project_id,
      { type: "edit_task", session_id: before.session_id, edit, actor, request_id },
      bytes,
    );
    return outcome.ok ? accepted(outcome.value.task?.entity ?? before) : outcome;
  });
}

/** Submits the edit for the versions that the request accepts. */
async function editVersions<E extends Session | Task>(
  before: E,
  inBody: number | undefined,
  fields: Fields,
  { ifMatch, rawBody }: EditRequest,
  submit: (expectedVersion: number | undefined) => Promise<Outcome<E>>,
): Promise<Outcome<E>> {
  const versions = expectedVersions(inBody, ifMatch);
  if (!versions.ok) return versions;
  const expected = versions.value;
  const refusal = refuseUnchangeable(before, rawBody, fields, expected);
  if (refusal !== undefined) return refused(refusal);
  if (expected === "any") return submit(undefined);
  // A conflict changes nothing, so each tag of a list may be tried in turn; nearly always there is one.
  let outcome: Outcome<E> = refused(
    refuse("VERSION_CONFLICT", `no tag of If-Match is a strong tag of a version; it is "${before.version}"`, {
      current: before,
    }),
  );
  for (const version of expected) {
    outcome = await submit(version);
    if (outcome.ok || outcome.refusal.code !== "VERSION_CONFLICT") return outcome;
  }
  return outcome;
}

/** `If-Match` and `expected_version` say the same thing; given together they must agree. */
function expectedVersions(inBody: number | undefined, ifMatch: string | undefined): Outcome<"any" | readonly number[]> {
  const inHeader = acceptedVersions(ifMatch);
  if (inHeader === undefined)
    return refused(invalid("If-Match", 'must be * or versions as ETag shows them, such as "3"'));
  if (inBody === undefined) return accepted(inHeader);
  if (inHeader === "any" || inHeader.includes(inBody)) return accepted([inBody]);
  return refused(invalid("expected_version", "contradicts If-Match"));
}

/**
 * A client may send back a whole entity that it has read; what it cannot change must then be as it was. Where it
 * names the version it means and that one has passed, the writer decides: it knows whether the edit still fits.
 */
function refuseUnchangeable(
  before: Session | Task,
  body: Readonly<Record<string, unknown>>,
  { fixed, keptByHub }: Fields,
  expected: "any" | readonly number[],
): Refusal | undefined {
  const isCurrent = expected === "any" || expected.includes(before.version);
  const values = before as unknown as Readonly<Record<string, unknown>>;
  const errors = (isCurrent ? [...fixed, ...keptByHub] : fixed)
    .filter((field) => Object.hasOwn(body, field) && !jsonEqual(body[field], values[field]))
    .map((field) => ({ field, message: "cannot be changed by PATCH" }));
  return errors.length === 0 ? undefined : refuseFields(errors);
}
