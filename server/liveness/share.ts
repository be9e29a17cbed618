import { createHash } from "node:crypto";

/**
 * Which of the hubs a project falls to: each hub computes the same without asking (rendezvous hashing), and when one
 * goes, only its own projects move. Undefined when there is none.
 */
export function hubOfProject(projectId: string, hubIds: readonly string[]): string | undefined {
  if (hubIds.length < 2) return hubIds[0];
  const weights = hubIds.map((hubId) => createHash("sha1").update(`${hubId}/${projectId}`).digest("hex"));
  return hubIds[weights.reduce((best, weight, index) => (weight > (weights[best] ?? "") ? index : best), 0)];
}

/** Whether a project falls to this one of the hubs; remembers projects, since their sessions come one after the other. */
export function shareOf(hubId: string, hubIds: readonly string[]): (projectId: string) => boolean {
  const known = new Map<string, boolean>();
  return (projectId) => {
    const isMine = known.get(projectId) ?? hubOfProject(projectId, hubIds) === hubId;
    known.set(projectId, isMine);
    return isMine;
  };
}
