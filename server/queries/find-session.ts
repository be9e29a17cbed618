import type { Session } from "../../shared/entities.ts";
import { refuse } from "../../shared/errors.ts";
import { mayRead, NOT_AUTHORIZED, type Principal } from "../domain/access.ts";
import { accepted, type Outcome, refused } from "../writer/outcome.ts";
import type { Queries } from "./ports.ts";

/** Projects that an `AMBIGUOUS` names at most. */
const NAMED_PROJECTS = 20;

/**
 * The session with this id, in the project if one is given, else in whichever single project of those that may be read
 * has it. Of all others nothing is told, not even that they are there.
 */
export async function findSession(
  queries: Queries,
  principal: Principal,
  sessionId: string,
  projectId: string | undefined,
): Promise<Outcome<Session>> {
  if (projectId !== undefined) {
    if (!mayRead(principal, projectId)) return refused(NOT_AUTHORIZED);
    const session = await queries.findSession(projectId, sessionId);
    return session === undefined
      ? refused(refuse("NOT_FOUND", `no session ${sessionId} in project ${projectId}`))
      : accepted(session);
  }
  const [session, ...others] = await queries.findSessionsById(sessionId, principal.scope, NAMED_PROJECTS);
  if (session === undefined) return refused(refuse("NOT_FOUND", `no session ${sessionId}`));
  if (others.length === 0) return accepted(session);
  const projectIds = [session, ...others].map(({ project_id }) => project_id).sort();
  return refused(
    refuse("AMBIGUOUS", `session ${sessionId} exists in several projects; add ?project_id=`, {
      project_ids: projectIds,
    }),
  );
}
