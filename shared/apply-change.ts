import type { Change, Session, Task } from "./entities.ts";
import type { JsonObject } from "./json.ts";
import { mergePatch } from "./merge-patch.ts";

/**
 * The entity after a change, or undefined when the change does not apply: it is not newer than what is held, or it is
 * a patch for an entity that is not held. With no hole before it, the result equals what REST shows, field for field.
 */
export function applyChange<E extends Session | Task>(
  before: E | undefined,
  change: Pick<Change, "seq" | "at" | "version" | "patch" | "state">,
): E | undefined {
  if (before !== undefined && change.version <= before.version) return undefined;
  if (change.state !== undefined) return change.state as E;
  if (before === undefined || change.patch === undefined) return undefined;
  const patched = mergePatch(before as unknown as JsonObject, change.patch) as unknown as E;
  return { ...patched, updated_at: change.at, version: change.version, seq: change.seq };
}
