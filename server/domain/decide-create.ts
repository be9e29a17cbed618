import { isFinal, type Session } from "../../shared/entities.ts";
import { refuse, refuseFields } from "../../shared/errors.ts";
import { jsonEqual } from "../../shared/json.ts";
import { mergePatch } from "../../shared/merge-patch.ts";
import type { CreateCommand, DecideContext, Decision } from "./commands.ts";
import { editMetadata } from "./edit-metadata.ts";
import { refuseRecoveryAttempts } from "./edit-session.ts";
import type { FamilyView, SessionRecord } from "./records.ts";
import { Staging } from "./staging.ts";

export const DEFAULT_ENVIRONMENT = "production";

/** `POST /sessions`: a session without an agent yet; the same request again finds it there. */
export function decideCreate(command: CreateCommand, family: FamilyView, context: DecideContext): Decision {
  const existing = family.session;
  if (existing !== undefined) return compare(command, existing, context);
  const status = command.status ?? "ACTIVE";
  if (isFinal(status)) {
    const refusal = refuseFields([{ field: "status", message: "must be a live status to create a session" }]);
    return { kind: "refused", refusal };
  }
  const counted = refuseRecoveryAttempts({}, command.metadata);
  if (counted !== undefined) return { kind: "refused", refusal: counted };
  const metadata = editMetadata({}, command.metadata ?? {}, context.limits);
  if ("refusal" in metadata) return { kind: "refused", refusal: metadata.refusal };
  const session: Session = {
    session_id: command.session_id,
    project_id: command.project_id,
    status,
    liveness: "unmonitored",
    machine_id: command.machine_id,
    environment: command.environment ?? DEFAULT_ENVIRONMENT,
    metadata: metadata.after,
    ...(status === "WAITING" ? { waiting_for: { kind: "input", question: "", since: context.at } } : {}),
    incarnation: 0,
    created_at: context.at,
    updated_at: context.at,
    version: 0,
    seq: 0,
  };
  const staging = new Staging(family, { actor: command.actor, request_id: command.request_id }, context);
  return staging.accept([staging.stageSession(session)], { created: true });
}

function compare(command: CreateCommand, existing: SessionRecord, context: DecideContext): Decision {
  const { recovery_attempts: counted, ...metadata } = existing.entity.metadata;
  const entity = { ...existing.entity, metadata };
  const sentBack = counted !== undefined && command.metadata?.recovery_attempts === counted;
  const given = {
    status: command.status,
    machine_id: command.machine_id,
    environment: command.environment,
    // As it would have been stored: nulls are dropped in a creation, and the hub's own counter is no client's.
    metadata:
      command.metadata &&
      mergePatch({}, sentBack ? { ...command.metadata, recovery_attempts: null } : command.metadata),
  };
  const differing = (Object.keys(given) as (keyof typeof given)[]).filter(
    (field) => given[field] !== undefined && !jsonEqual(given[field], entity[field]),
  );
  if (differing.length > 0) {
    return {
      kind: "refused",
      refusal: refuse(
        "ALREADY_EXISTS",
        `session ${command.session_id} exists in project ${command.project_id} with another ${differing.join(", ")}`,
        { fields: differing },
      ),
    };
  }
  return {
    kind: "accepted",
    changes: [],
    session: undefined,
    tasks: [],
    answer: { session: existing, created: false, resumed: false, results: [], seq: context.head.seq, duplicate: false },
  };
}
