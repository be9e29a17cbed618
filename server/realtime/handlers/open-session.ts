import { isFinal } from "../../../shared/entities.ts";
import { refuse, refuseFields } from "../../../shared/errors.ts";
import type { Limits } from "../../../shared/limits.ts";
import type { Lease } from "../../../shared/messages/lease.ts";
import type { SessionOpen, SessionOpened } from "../../../shared/messages/session-open.ts";
import type { OpenCommand } from "../../domain/commands.ts";
import { DEFAULT_ENVIRONMENT } from "../../domain/decide-create.ts";
import type { SessionTokens } from "../../domain/session-token.ts";
import { DRAINING } from "../../drain/refusal.ts";
import type { Heartbeats } from "../../liveness/heartbeats.ts";
import type { Leases } from "../../liveness/leases.ts";
import type { Owners } from "../../liveness/owners.ts";
import type { ReturningSessions } from "../../liveness/returning-sessions.ts";
import { accepted, type Outcome, refused } from "../../writer/outcome.ts";
import type { Projects } from "../../writer/projects.ts";
import type { Writer } from "../../writer/writer.ts";
import type { AgentConnection } from "../agent-connection.ts";
import type { MessageInfo } from "../dispatch.ts";

export interface OpenSessionDeps {
  readonly writer: Writer;
  readonly projects: Projects;
  readonly owners: Owners;
  readonly leases: Leases;
  readonly heartbeats: Heartbeats;
  readonly returning: ReturningSessions;
  readonly tokens: SessionTokens;
  readonly limits: Limits;
  /** What agents are told now. */
  readonly lease: () => Lease;
  readonly isDraining: () => boolean;
}

/** `session:open`: the commit decides who owns the session; this connection then holds it. */
export async function openSession(
  deps: OpenSessionDeps,
  connection: AgentConnection,
  message: SessionOpen,
  { bytes }: MessageInfo,
): Promise<Outcome<SessionOpened>> {
  const { limits, writer, tokens, leases } = deps;
  const { session_id: sessionId, project_id: projectId } = message;
  if (deps.isDraining()) return refused(DRAINING);
  const held = connection.owned.get(sessionId);
  if (held !== undefined && held.project.id !== projectId) {
    const text = `${sessionId} is open on this connection in project ${held.project.id}`;
    return refused(refuseFields([{ field: "session_id", message: text }]));
  }
  if (held === undefined && connection.owned.size + connection.opening >= limits.sessions_per_connection) {
    const text = `a connection holds at most ${limits.sessions_per_connection} sessions`;
    return refused(refuse("LIMIT_EXCEEDED", text, { limit: limits.sessions_per_connection }));
  }
  if (!leases.hasRoomFor(projectId, sessionId)) {
    return refused({ code: "OVERLOADED", message: "the hub holds too many sessions", retry_after_ms: 1_000 });
  }
  const command = commandOf(message, connection, tokens);
  // A sign of life whatever becomes of it, so that no verdict is decided together with the owner's return.
  leases.onOwnerSeen(projectId, sessionId, command.proven_incarnation);
  connection.opening += 1;
  try {
    if (command.proven_incarnation > 0) await deps.returning.prepare(projectId, sessionId);
    const outcome = await writer.submit(projectId, command, bytes);
    if (!outcome.ok) return outcome;
    const { session, created, resumed, seq } = outcome.value;
    return await own(deps, connection, session.entity, { created, resumed, last_op: session.lastOp, seq });
  } finally {
    connection.opening -= 1;
  }
}

function commandOf(message: SessionOpen, connection: AgentConnection, tokens: SessionTokens): OpenCommand {
  const { session_id, project_id, incarnation = 0, token } = message;
  const isProven = token !== undefined && incarnation > 0 && tokens.isValid(token, project_id, session_id, incarnation);
  return {
    type: "open",
    session_id,
    project_id,
    machine_id: message.machine_id,
    agent_id: connection.peer.agentId,
    status: message.status,
    environment: message.environment ?? DEFAULT_ENVIRONMENT,
    metadata: message.metadata ?? {},
    parent_session_id: message.parent_session_id,
    resumed_from: message.resumed_from,
    proven_incarnation: isProven ? incarnation : 0,
    showed_token: token !== undefined && message.incarnation !== undefined,
    takeover: message.takeover,
    actor: connection.actor(),
  };
}

async function own(
  deps: OpenSessionDeps,
  connection: AgentConnection,
  session: SessionOpened["session"],
  answer: Pick<SessionOpened, "created" | "resumed" | "last_op" | "seq">,
): Promise<Outcome<SessionOpened>> {
  const { session_id: sessionId, project_id: projectId, incarnation } = session;
  const project = await deps.projects.get(projectId);
  // Others may have been at it since, as far as this hub knows.
  const current = project.peek(sessionId)?.session?.entity ?? session;
  if (current.incarnation !== incarnation || isFinal(current.status)) {
    return refused(refuse("FENCED", `a newer agent took session ${sessionId} this moment`));
  }
  const lease = deps.leases.hold(project, current);
  if (lease !== undefined && !connection.isClosed) deps.heartbeats.onBeat(deps.owners.take(lease, connection));
  return accepted({
    session,
    created: answer.created,
    resumed: answer.resumed,
    incarnation,
    token: deps.tokens.issue(projectId, sessionId, incarnation),
    last_op: answer.last_op,
    epoch: project.head.epoch,
    seq: answer.seq,
    lease: deps.lease(),
  });
}
