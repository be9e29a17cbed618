import { Id } from "../../shared/ids.ts";
import { accepted, type Outcome, refused } from "../writer/outcome.ts";
import { invalid } from "./problem.ts";

/** An id that stands in the path. */
export function parsePathId(path: Readonly<Record<string, string>>, name: string): Outcome<string> {
  const parsed = Id.safeParse(path[name]);
  return parsed.success
    ? accepted(parsed.data)
    : refused(invalid(name, parsed.error.issues[0]?.message ?? "is malformed"));
}
