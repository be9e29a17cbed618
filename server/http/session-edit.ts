import type { Actor, Session } from "../../shared/entities.ts";
import { type Refusal, refuse, refuseFields } from "../../shared/errors.ts";
import { jsonEqual } from "../../shared/json.ts";
import type { SessionEdit } from "../../shared/messages/changes-publish.ts";
import { accepted, type Outcome, refused } from "../writer/outcome.ts";
import type { Writer } from "../writer/writer.ts";
import { acceptedVersions } from "./etag.ts";
import { invalid } from "./problem.ts";

/** Never change once the session is there. */
const FIXED = ["session_id", "project_id", "environment", "parent_session_id", "resumed_from", "created_at"] as const;

/** Kept by the hub; they may have moved on since the client read them. */
const KEPT_BY_HUB = [
  "liveness",
  "machine_id",
  "agent_id",
  "hub_id",
  "incarnation",
  "updated_at",
  "ended_at",
  "lost_at",
  "version",
  "seq",
] as const;

interface EditRequest {
  readonly actor: Actor;
  readonly requestId: string;
  readonly rawBody: Readonly<Record<string, unknown>>;
  readonly bytes: number;
  readonly ifMatch: string | undefined;
}

/** A PATCH: the session as it is then. `before` is as it was read for this request. */
export async function editSession(
  writer: Pick<Writer, "submit">,
  before: Session,
  wanted: Omit<SessionEdit, "kind">,
  request: EditRequest,
): Promise<Outcome<Session>> {
  const versions = expectedVersions(wanted.expected_version, request.ifMatch);
  if (!versions.ok) return versions;
  const expected = versions.value;
  const refusal = refuseUnchangeable(before, request.rawBody, expected);
  if (refusal !== undefined) return refused(refusal);
  const submit = async (expected_version: number | undefined): Promise<Outcome<Session>> => {
    const edits: SessionEdit[] = [{ kind: "session", ...wanted, expected_version }];
    const outcome = await writer.submit(
      before.project_id,
      { type: "edit", session_id: before.session_id, edits, actor: request.actor, request_id: request.requestId },
      request.bytes,
    );
    return outcome.ok ? accepted(outcome.value.session.entity) : outcome;
  };
  if (expected === "any") return submit(undefined);
  // A conflict changes nothing, so each tag of a list may be tried in turn; nearly always there is one.
  let outcome: Outcome<Session> = refused(
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
 * A client may send back a whole session that it has read; what it cannot change must then be as it was. Where it
 * names the version it means and that one has passed, the writer decides: it knows whether the edit still fits.
 */
function refuseUnchangeable(
  before: Session,
  body: Readonly<Record<string, unknown>>,
  expected: "any" | readonly number[],
): Refusal | undefined {
  const isCurrent = expected === "any" || expected.includes(before.version);
  const fields = isCurrent ? [...FIXED, ...KEPT_BY_HUB] : FIXED;
  const errors = fields
    .filter((field) => Object.hasOwn(body, field) && !jsonEqual(body[field], before[field]))
    .map((field) => ({ field, message: "cannot be changed by PATCH" }));
  return errors.length === 0 ? undefined : refuseFields(errors);
}
