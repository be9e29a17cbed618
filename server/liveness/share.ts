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
