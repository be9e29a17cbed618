import { isFinal, type SessionStatus } from "../../shared/entities.ts";
import { refuse } from "../../shared/errors.ts";
import { mayRead, NOT_AUTHORIZED, type Principal } from "../domain/access.ts";
import { accepted, type Outcome, refused } from "../writer/outcome.ts";
import { findSession } from "./find-session.ts";
import { type ProjectSources, readProject } from "./projects.ts";

interface Wanted {
  readonly project_id?: string | undefined;
  readonly session_id?: string | undefined;
}

/** What may be forgotten: one session that is final, or a project of which all are. */
export function findPurgeable(
  sources: ProjectSources,
  principal: Principal,
  { project_id, session_id }: Wanted,
): Promise<Outcome<{ readonly project_id: string; readonly session_id?: string }>> {
  return session_id === undefined
    ? ofProject(sources, principal, project_id ?? "")
    : ofSession(sources, principal, session_id, project_id);
}

async function ofSession(
  { queries }: ProjectSources,
  principal: Principal,
  sessionId: string,
  projectId: string | undefined,
): Promise<Outcome<{ readonly project_id: string; readonly session_id: string }>> {
  const found = await findSession(queries, principal, sessionId, projectId);
  if (!found.ok) return found;
  const { project_id, session_id, status } = found.value;
  if (isFinal(status)) return accepted({ project_id, session_id });
  const message = `session ${session_id} is ${status}; end it first, with POST /sessions/${session_id}/close`;
  return refused(refuse("INVALID_TRANSITION", message, { from: status }));
}

async function ofProject(
  sources: ProjectSources,
  principal: Principal,
  projectId: string,
): Promise<Outcome<{ readonly project_id: string }>> {
  if (!mayRead(principal, projectId)) return refused(NOT_AUTHORIZED);
  const project = await readProject(sources, projectId);
  if (!project.ok) return project;
  const { sessions, status } = project.value.counts;
  if (sessions === 0) return refused(refuse("NOT_FOUND", `project ${projectId} has no sessions`));
  const living = Object.entries(status).filter(([word, count]) => count > 0 && !isFinal(word as SessionStatus));
  if (living.length === 0) return accepted({ project_id: projectId });
  const words = living.map(([word, count]) => `${count} ${word}`).join(", ");
  const message = `project ${projectId} has sessions that are not final (${words}); end them first`;
  return refused(refuse("INVALID_TRANSITION", message, Object.fromEntries(living)));
}
