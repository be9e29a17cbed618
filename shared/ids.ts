import { z } from "zod";

/** Every id is chosen by the client; `/`, spaces and control characters cannot occur, so ids join safely into keys. */
export const ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$/;

export const Id = z
  .string()
  .regex(ID_PATTERN, "must be 1 to 128 characters of A-Z a-z 0-9 . _ : @ - and begin with a letter or digit");

export const DEFAULT_PROJECT_ID = "default";

/** Key of a session's document and of everything a hub keeps about it: `<project>/<session>`. */
export function sessionKey(projectId: string, sessionId: string): string {
  return `${projectId}/${sessionId}`;
}

/** Key of a task's document: `<project>/<session>/<task>`. */
export function taskKey(projectId: string, sessionId: string, taskId: string): string {
  return `${projectId}/${sessionId}/${taskId}`;
}
