import { ID_PATTERN } from "../shared/ids.ts";
import { CliError, EXIT } from "./exit.ts";
import { nonEmpty } from "./hub-address.ts";

/** The session a command is about: its argument, or the one that `state-hub run` runs this in. */
export function toldSession(argument: string | undefined): string {
  const sessionId = argument ?? nonEmpty(process.env.STATE_HUB_SESSION);
  if (sessionId === undefined) {
    throw new CliError("which session? Name it, or run this inside `state-hub run`", EXIT.usage);
  }
  if (!ID_PATTERN.test(sessionId)) throw new CliError(`${JSON.stringify(sessionId)} is no session id`, EXIT.usage);
  return sessionId;
}

/** The project that goes with it; a bare id is looked up by the hub in all projects that the key may read. */
export function sessionQuery(argument: string | undefined, project: string | undefined): { project_id?: string } {
  const projectId = project ?? (argument === undefined ? nonEmpty(process.env.STATE_HUB_PROJECT) : undefined);
  return projectId === undefined ? {} : { project_id: projectId };
}
