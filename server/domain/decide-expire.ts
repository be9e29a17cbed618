import { isFinal } from "../../shared/entities.ts";
import { refuse } from "../../shared/errors.ts";
import type { DecideContext, Decision, ExpireCommand } from "./commands.ts";
import { endedAsFailed } from "./decide-verdict.ts";
import { refuseTransition } from "./edit-session.ts";
import type { FamilyView } from "./records.ts";
import { SESSION_TRANSITIONS } from "./session.ts";
import { Staging } from "./staging.ts";

/** `POST /sessions/{id}/expire`: what the hub does with a session that stays lost, without the wait. */
export function decideExpire(command: ExpireCommand, family: FamilyView, context: DecideContext): Decision {
  const record = family.session;
  if (record === undefined) {
    return { kind: "refused", refusal: refuse("NOT_FOUND", `no session ${command.session_id}`) };
  }
  const { status, liveness } = record.entity;
  if (isFinal(status)) return { kind: "refused", refusal: refuseTransition(status, "FAILED") };
  if (liveness === "online") {
    const message = `the agent of session ${command.session_id} is online; close the session to end it all the same`;
    const details = { from: status, to: "FAILED", allowed: SESSION_TRANSITIONS[status], liveness };
    return { kind: "refused", refusal: refuse("INVALID_TRANSITION", message, details) };
  }
  const { actor, request_id } = command;
  const staging = new Staging(family, { actor, request_id }, context);
  return staging.accept([staging.stageSession(endedAsFailed(record.entity, context.at))]);
}
