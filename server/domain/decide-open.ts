import { type Actor, isFinal, type Session } from "../../shared/entities.ts";
import { type Refusal, refuse, refuseFields } from "../../shared/errors.ts";
import type { Answer, DecideContext, Decision, OpenCommand } from "./commands.ts";
import { backOnline } from "./decide-verdict.ts";
import { editMetadata } from "./edit-metadata.ts";
import { refuseRecoveryAttempts, refuseTransition } from "./edit-session.ts";
import type { FamilyView, SessionRecord } from "./records.ts";
import { Staging } from "./staging.ts";

/** `session:open`: a new session, its owner's return, or a new owner by rules (a) to (d) of the protocol. */
export function decideOpen(command: OpenCommand, family: FamilyView, context: DecideContext): Decision {
  const record = family.session;
  if (record === undefined) return create(command, family, context);
  const session = record.entity;
  if (isFinal(session.status)) return { kind: "refused", refusal: refuseTransition(session.status, command.status) };
  if (session.incarnation > 0 && command.proven_incarnation === session.incarnation) {
    return own(command, family, context, record, session.incarnation);
  }
  const refusal = mayTake(command, session);
  if (refusal !== undefined) return { kind: "refused", refusal };
  return own(command, family, context, record, session.incarnation + 1);
}

function mayTake(command: OpenCommand, session: Session): Refusal | undefined {
  if (command.takeover || session.liveness !== "online") return undefined;
  const isOwner = command.agent_id !== undefined && command.agent_id === session.agent_id;
  // A token that does not fit is an earlier owner's, coming back late: it must not take the session from its successor,
  // although both have the same agent_id.
  if (isOwner && !command.showed_token) return undefined;
  return refuse(
    "ALREADY_OWNED",
    `session ${session.session_id} belongs to ${session.agent_id ?? "another agent"} on ${session.machine_id}; ` +
      "choose another session_id, or open it with takeover: true",
    { agent_id: session.agent_id, machine_id: session.machine_id, incarnation: session.incarnation },
  );
}

function create(command: OpenCommand, family: FamilyView, context: DecideContext): Decision {
  if (isFinal(command.status)) {
    return refused(refuseFields([{ field: "status", message: "must be a live status to open a session" }]));
  }
  const counted = refuseRecoveryAttempts({}, command.metadata);
  if (counted !== undefined) return refused(counted);
  const metadata = editMetadata({}, command.metadata, context.limits);
  if ("refusal" in metadata) return refused(metadata.refusal);
  const session: Session = {
    session_id: command.session_id,
    project_id: command.project_id,
    status: command.status,
    liveness: "online",
    machine_id: command.machine_id,
    ...(command.agent_id === undefined ? {} : { agent_id: command.agent_id }),
    hub_id: context.hubId,
    environment: command.environment,
    metadata: metadata.after,
    ...(command.status === "WAITING" ? { waiting_for: { kind: "input", question: "", since: context.at } } : {}),
    ...(command.parent_session_id === undefined ? {} : { parent_session_id: command.parent_session_id }),
    ...(command.resumed_from === undefined ? {} : { resumed_from: command.resumed_from }),
    incarnation: 1,
    created_at: context.at,
    updated_at: context.at,
    version: 0,
    seq: 0,
  };
  return stage(command, family, context, session, { created: true, resumed: false });
}

/** The session in the hands of this agent; with the incarnation it has already, a mere return. */
function own(
  command: OpenCommand,
  family: FamilyView,
  context: DecideContext,
  record: SessionRecord,
  incarnation: number,
): Decision {
  const { agent_id: _, ...rest } = backOnline(record.entity);
  const session: Session = {
    ...rest,
    machine_id: command.machine_id,
    ...(command.agent_id === undefined ? {} : { agent_id: command.agent_id }),
    hub_id: context.hubId,
    incarnation,
  };
  const resumed = incarnation === rest.incarnation;
  return stage(command, family, context, session, { created: false, resumed });
}

function stage(
  command: OpenCommand,
  family: FamilyView,
  context: DecideContext,
  session: Session,
  what: Pick<Answer, "created" | "resumed">,
): Decision {
  // A mere return is the hub's note of where the agent is now; it spoils nobody's expected_version.
  const actor: Actor = what.resumed ? { kind: "hub", id: context.hubId } : command.actor;
  const staging = new Staging(family, { actor, incarnation: session.incarnation }, context);
  const reopened = !what.created && !what.resumed;
  return staging.accept([staging.stageSession(session, reopened ? "reopened" : undefined)], what);
}

function refused(refusal: Refusal): Decision {
  return { kind: "refused", refusal };
}
