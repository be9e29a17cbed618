import { ID_PATTERN } from "./ids.ts";

/** All projects. */
export const ALL_PROJECTS = "*";

/** A prefix ends where people see a boundary, so that `acme-*` never reaches the project `acmeco`. */
const PREFIX_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,126}(?<=[._:@-])\*$/;

/** Whether a text names projects: an id, a prefix such as `acme-*`, or `*` for all. */
export function isProjectPattern(text: string): boolean {
  return text === ALL_PROJECTS || ID_PATTERN.test(text) || PREFIX_PATTERN.test(text);
}
