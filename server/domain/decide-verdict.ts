import { isFinal, type Session } from "../../shared/entities.ts";
import { refuse } from "../../shared/errors.ts";
import type { DecideContext, Decision, VerdictCommand } from "./commands.ts";
import type { FamilyView } from "./records.ts";
import { Staging } from "./staging.ts";

/**
 * The hub's word on a session, if what it was said of still holds at the head; else nothing happens. That makes it
 * exactly once, whoever else judges and whatever the owner does meanwhile.
 */
export function decideVerdict(command: VerdictCommand, family: FamilyView, context: DecideContext): Decision {
  const record = family.session;
  if (record === undefined) {
    return { kind: "refused", refusal: refuse("NOT_FOUND", `no session ${command.session_id}`) };
  }
  const after = stillHolds(command, record.entity) ? judged(record.entity, command.to, context.at) : record.entity;
  const staging = new Staging(family, { actor: command.actor }, context);
  return staging.accept([staging.stageSession(after)]);
}

function stillHolds({ condition, holds }: VerdictCommand, session: Session): boolean {
  return (
    !isFinal(session.status) &&
    session.hub_id === condition.hub_id &&
    session.incarnation === condition.incarnation &&
    session.liveness === condition.liveness &&
    holds()
  );
}

function judged(session: Session, to: VerdictCommand["to"], at: string): Session {
  switch (to) {
    case "stale":
      return { ...session, liveness: "stale" };
    case "lost":
      return { ...session, liveness: "lost", lost_at: at };
    case "online":
      return backOnline(session);
    case "expired":
      return endedAsFailed(session, at);
  }
}

/** Its agent is heard of again; a return from `lost` is counted, by the hub alone. */
export function backOnline({ lost_at: _, ...session }: Session): Session {
  const { recovery_attempts: attempts } = session.metadata;
  return {
    ...session,
    liveness: "online",
    metadata:
      session.liveness === "lost"
        ? { ...session.metadata, recovery_attempts: (typeof attempts === "number" ? attempts : 0) + 1 }
        : session.metadata,
  };
}

/** Its agent is given up. */
export function endedAsFailed({ waiting_for: _, ...session }: Session, at: string): Session {
  return { ...session, status: "FAILED", liveness: "ended", ended_at: at };
}
