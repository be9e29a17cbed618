import {
  isFinal,
  type Session,
  type SessionStatus,
  type WaitingFor,
  type WaitingRequest,
} from "../../shared/entities.ts";
import { type Refusal, refuse, refuseFields } from "../../shared/errors.ts";
import { type JsonObject, jsonEqual } from "../../shared/json.ts";
import type { Limits } from "../../shared/limits.ts";
import type { SessionEdit } from "../../shared/messages/changes-publish.ts";
import { type Edited, editMetadata } from "./edit-metadata.ts";
import { SESSION_TRANSITIONS } from "./session.ts";

/** The session after an edit by its agent or an operator (versions aside), or why not. */
export function editSession(before: Session, edit: SessionEdit, at: string, limits: Limits): Edited<Session> {
  const status = edit.status ?? before.status;
  if (isFinal(before.status)) return { refusal: refuseTransition(before.status, status) };
  if (status !== before.status && !SESSION_TRANSITIONS[before.status].includes(status)) {
    return { refusal: refuseTransition(before.status, status) };
  }
  if (edit.waiting_for !== undefined && status !== "WAITING") {
    return { refusal: refuseFields([{ field: "waiting_for", message: "goes with status WAITING only" }]) };
  }
  const counted = refuseRecoveryAttempts(before.metadata, edit.metadata);
  if (counted !== undefined) return { refusal: counted };
  const metadata = editMetadata(before.metadata, edit.metadata, limits);
  if ("refusal" in metadata) return metadata;
  const { waiting_for: _, ...rest } = before;
  const waiting = status === "WAITING" ? waitingFor(before, edit.waiting_for, at) : undefined;
  return {
    after: {
      ...rest,
      status,
      metadata: metadata.after,
      ...(waiting === undefined ? {} : { waiting_for: waiting }),
      ...(isFinal(status) ? { liveness: "ended" as const, ended_at: at } : {}),
    },
  };
}

export function refuseTransition(from: SessionStatus, to: SessionStatus): Refusal {
  const allowed = SESSION_TRANSITIONS[from];
  const message = isFinal(from)
    ? `the session is ${from}; it accepts no change (start a new session with resumed_from)`
    : `a session cannot go from ${from} to ${to}`;
  return refuse("INVALID_TRANSITION", message, { from, to, allowed });
}

/** The same question asked again keeps its `since`: that is no change. */
function waitingFor(before: Session, request: WaitingRequest | undefined, at: string): WaitingFor {
  if (request === undefined) return before.waiting_for ?? { kind: "input", question: "", since: at };
  if (before.waiting_for !== undefined) {
    const { since, ...current } = before.waiting_for;
    if (jsonEqual(current, request)) return before.waiting_for;
  }
  return { ...request, since: at };
}

/** `metadata.recovery_attempts` is the hub's alone; sending the current value back does no harm. */
export function refuseRecoveryAttempts(before: JsonObject, patch: JsonObject | undefined): Refusal | undefined {
  if (patch === undefined || !Object.hasOwn(patch, "recovery_attempts")) return undefined;
  if (patch.recovery_attempts === before.recovery_attempts) return undefined;
  return refuseFields([{ field: "metadata.recovery_attempts", message: "is counted by the hub alone" }]);
}
