import type { ProjectScope } from "../domain/project-scope.ts";

/** The condition that a document's project is one of these. Each part is a range of an index. */
export function inScope(scope: ProjectScope): Record<string, unknown> {
  if (scope.isAll) return {};
  const exact = { project_id: { $in: [...scope.ids] } };
  if (scope.prefixes.length === 0) return exact;
  return { $or: [exact, ...prefixRanges(scope).map((range) => ({ project_id: range }))] };
}

/** Of the ids that begin with each prefix of the scope. */
export function prefixRanges(scope: ProjectScope): { readonly $gte: string; readonly $lt: string }[] {
  return scope.prefixes.map((prefix) => ({ $gte: prefix, $lt: after(prefix) }));
}

/** Above everything that begins with the prefix; its last character is ASCII. */
function after(prefix: string): string {
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
}
