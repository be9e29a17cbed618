import { refuse, refuseFields } from "../../../shared/errors.ts";
import type { Limits } from "../../../shared/limits.ts";
import type { Lease } from "../../../shared/messages/lease.ts";
import type { SessionOpen, SessionOpened } from "../../../shared/messages/session-open.ts";
import type { OpenCommand } from "../../domain/commands.ts";
import { DEFAULT_ENVIRONMENT } from "../../domain/decide-create.ts";
import type { SessionTokens } from "../../domain/session-token.ts";
import type { Heartbeats } from "../../liveness/heartbeats.ts";
import { type Owners, stillOwns } from "../../liveness/owners.ts";
import { accepted, type Outcome, refused } from "../../writer/outcome.ts";
import type { Projects } from "../../writer/projects.ts";
import type { Writer } from "../../writer/writer.ts";
import type { AgentConnection } from "../agent-connection.ts";
import type { MessageInfo } from "../dispatch.ts";

export interface OpenSessionDeps {
  readonly writer: Writer;
  readonly projects: Projects;
  readonly owners: Owners;
  readonly heartbeats: Heartbeats;
  readonly tokens: SessionTokens;
  readonly limits: Limits;
  readonly lease: Lease;
  readonly isDraining: () => boolean;
}

/** `session:open`: the commit decides who owns the session; this connection then holds it. */
export async function openSession(
  deps: OpenSessionDeps,
  connection: AgentConnection,
  message: SessionOpen,
  { bytes }: MessageInfo,
): Promise<Outcome<SessionOpened>> {
  const { limits, writer, tokens } = deps;
  const { session_id: sessionId, project_id: projectId } = message;
  if (deps.isDraining()) return refused(refuse("DRAINING", "the hub is shutting down; connect again"));
  const held = connection.owned.get(sessionId);
  if (held !== undefined && held.project.id !== projectId) {
    const text = `${sessionId} is open on this connection in project ${held.project.id}`;
    return refused(refuseFields([{ field: "session_id", message: text }]));
  }
  if (held === undefined && connection.owned.size + connection.opening >= limits.sessions_per_connection) {
    const text = `a connection holds at most ${limits.sessions_per_connection} sessions`;
    return refused(refuse("LIMIT_EXCEEDED", text, { limit: limits.sessions_per_connection }));
  }
  connection.opening += 1;
  try {
    const outcome = await writer.submit(projectId, commandOf(message, connection, tokens), bytes);
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
  if (!stillOwns(project, sessionId, incarnation)) {
    return refused(refuse("FENCED", `a newer agent took session ${sessionId} this moment`));
  }
  if (!connection.isClosed) {
    deps.owners.take(project, sessionId, incarnation, connection);
    const owned = connection.owned.get(sessionId);
    if (owned !== undefined) deps.heartbeats.onBeat(owned);
  }
  return accepted({
    session,
    created: answer.created,
    resumed: answer.resumed,
    incarnation,
    token: deps.tokens.issue(projectId, sessionId, incarnation),
    last_op: answer.last_op,
    epoch: project.head.epoch,
    seq: answer.seq,
    lease: deps.lease,
  });
}
