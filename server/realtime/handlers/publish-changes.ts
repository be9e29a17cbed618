import { refuse, refuseFields } from "../../../shared/errors.ts";
import type { ChangesPublish, Edit, Published } from "../../../shared/messages/changes-publish.ts";
import type { SessionClose } from "../../../shared/messages/session-close.ts";
import type { Answer, PublishCommand } from "../../domain/commands.ts";
import { DRAINING } from "../../drain/refusal.ts";
import type { Heartbeats } from "../../liveness/heartbeats.ts";
import { within } from "../../patience.ts";
import type { ChangeLog, Projections } from "../../ports.ts";
import { originalResults } from "../../writer/original-results.ts";
import { accepted, type Outcome, refused } from "../../writer/outcome.ts";
import type { Projects } from "../../writer/projects.ts";
import type { Writer } from "../../writer/writer.ts";
import type { AgentConnection } from "../agent-connection.ts";
import type { MessageInfo } from "../dispatch.ts";

export interface PublishChangesDeps {
  readonly writer: Writer;
  readonly projects: Projects;
  readonly projections: Projections;
  readonly changeLog: ChangeLog;
  readonly heartbeats: Heartbeats;
  readonly isDraining: () => boolean;
}

/** Looking for a session of which the message does not say the project is one query over an index. */
const FIND_WITHIN_MS = 2_000;

/** `session:close` is a publish of the final status. */
export function closeSession(
  deps: PublishChangesDeps,
  connection: AgentConnection,
  { session_id, incarnation, op, status, metadata }: SessionClose,
  info: MessageInfo,
): Promise<Outcome<Published>> {
  const edit: Edit = { kind: "session", status, ...(metadata === undefined ? {} : { metadata }) };
  return submitOnce(deps, connection, { session_id, incarnation, op, changes: [edit] }, "none", info);
}

/** `changes:publish`. */
export function publishChanges(
  deps: PublishChangesDeps,
  connection: AgentConnection,
  message: ChangesPublish,
  info: MessageInfo,
): Promise<Outcome<Published>> {
  return submitOnce(deps, connection, message, "changes", info);
}

/** At most one unanswered publish per session; the same op again waits for the same answer. */
function submitOnce(
  deps: PublishChangesDeps,
  connection: AgentConnection,
  message: ChangesPublish,
  envelope: PublishCommand["envelope"],
  info: MessageInfo,
): Promise<Outcome<Published>> {
  const { session_id: sessionId, op } = message;
  const unanswered = connection.unanswered.get(sessionId);
  if (unanswered !== undefined) {
    if (unanswered.op === op) return unanswered.answer;
    const text = `is ${op}, but op ${unanswered.op} of the session is not answered yet; send one at a time`;
    return Promise.resolve(refused(refuseFields([{ field: "op", message: text }])));
  }
  if (deps.isDraining()) return Promise.resolve(refused(DRAINING));
  const twice = repeatedEntity(message.changes);
  if (twice !== undefined) {
    return Promise.resolve(refused(refuseFields([{ field: "changes", message: `name ${twice} twice` }])));
  }
  const answer = publish(deps, connection, message, envelope, info).finally(() =>
    connection.unanswered.delete(sessionId),
  );
  connection.unanswered.set(sessionId, { op, answer });
  return answer;
}

async function publish(
  deps: PublishChangesDeps,
  connection: AgentConnection,
  message: ChangesPublish,
  envelope: PublishCommand["envelope"],
  { bytes }: MessageInfo,
): Promise<Outcome<Published>> {
  const owned = connection.owned.get(message.session_id);
  const command: PublishCommand = {
    type: "publish",
    session_id: message.session_id,
    incarnation: message.incarnation,
    op: message.op,
    edits: message.changes,
    envelope,
    owns: owned !== undefined && owned.incarnation === message.incarnation,
    actor: connection.actor(),
  };
  if (owned === undefined) return publishElsewhere(deps, connection, command, bytes);
  if (command.owns) deps.heartbeats.onBeat(owned);
  const outcome = await deps.writer.submit(owned.project.id, command, bytes);
  return outcome.ok ? answerOf(deps, owned.project.id, outcome.value) : outcome;
}

/**
 * Not open on this connection: only the retry of an op that was applied can still be answered. Its project is not part
 * of the message, so it is looked for by session_id among those that the key reaches; a refusal says what that session's project says.
 */
async function publishElsewhere(
  deps: PublishChangesDeps,
  connection: AgentConnection,
  command: PublishCommand,
  bytes: number,
): Promise<Outcome<Published>> {
  let found: { projectId: string; incarnation: number }[];
  try {
    found = await within(
      FIND_WITHIN_MS,
      deps.projections.findSessionsById(command.session_id, connection.peer.principal.scope),
    );
  } catch {
    return refused({ code: "UNAVAILABLE", message: "the database does not answer", retry_after_ms: 1_000 });
  }
  let refusal = refuse(
    "NOT_FOUND",
    `session ${command.session_id} is not open on this connection; send session:open first`,
  );
  const answers: { projectId: string; answer: Answer }[] = [];
  for (const { projectId } of found) {
    const outcome = await deps.writer.submit(projectId, command, bytes);
    if (outcome.ok) answers.push({ projectId, answer: outcome.value });
    else if (refusal.code === "NOT_FOUND") refusal = outcome.refusal;
  }
  const [first, second] = answers;
  if (first === undefined) return refused(refusal);
  if (second !== undefined) {
    const text = `op ${command.op} of session ${command.session_id} was applied in several projects; open the session`;
    return refused(refuse("AMBIGUOUS", text, { projects: answers.map(({ projectId }) => projectId) }));
  }
  return answerOf(deps, first.projectId, first.answer);
}

async function answerOf(deps: PublishChangesDeps, projectId: string, answer: Answer): Promise<Outcome<Published>> {
  const epoch = (deps.projects.known(projectId) ?? (await deps.projects.get(projectId))).head.epoch;
  if (!answer.duplicate) return accepted({ epoch, seq: answer.seq, results: answer.results });
  const results = await originalResults(deps.changeLog, answer);
  return accepted({ epoch, seq: answer.seq, results: results ?? [], duplicate: true });
}

function repeatedEntity(edits: readonly Edit[]): string | undefined {
  if (edits.length === 1) return undefined;
  const seen = new Set<string>();
  for (const edit of edits) {
    const name = edit.kind === "session" ? "the session" : `task ${edit.task_id}`;
    if (seen.has(name)) return name;
    seen.add(name);
  }
  return undefined;
}
