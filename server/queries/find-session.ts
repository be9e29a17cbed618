import type { Session } from "../../shared/entities.ts";
import { refuse } from "../../shared/errors.ts";
import { accepted, type Outcome, refused } from "../writer/outcome.ts";
import type { Queries } from "./ports.ts";

/** Projects that an `AMBIGUOUS` names at most. */
const NAMED_PROJECTS = 20;

/** The session with this id, in the project if one is given, else in whichever single project has it. */
export async function findSession(
  queries: Queries,
  sessionId: string,
  projectId: string | undefined,
): Promise<Outcome<Session>> {
  if (projectId !== undefined) {
    const session = await queries.findSession(projectId, sessionId);
    return session === undefined
      ? refused(refuse("NOT_FOUND", `no session ${sessionId} in project ${projectId}`))
      : accepted(session);
  }
  const [session, ...others] = await queries.findSessionsById(sessionId, NAMED_PROJECTS);
  if (session === undefined) return refused(refuse("NOT_FOUND", `no session ${sessionId}`));
  if (others.length === 0) return accepted(session);
  const projectIds = [session, ...others].map(({ project_id }) => project_id).sort();
  return refused(
    refuse("AMBIGUOUS", `session ${sessionId} exists in several projects; add ?project_id=`, {
      project_ids: projectIds,
    }),
  );
}
