import { type Refusal, refuse, refuseFields } from "../../shared/errors.ts";
import { inspectJson, type JsonObject, jsonBytes } from "../../shared/json.ts";
import type { Limits } from "../../shared/limits.ts";
import { mergePatch } from "../../shared/merge-patch.ts";

/** The outcome of an edit: the entity (or part) as it would be, or why not. */
export type Edited<E> = { readonly after: E } | { readonly refusal: Refusal };

/** `before` after a JSON Merge Patch, within the limits of size and depth. */
export function editMetadata(before: JsonObject, patch: JsonObject | undefined, limits: Limits): Edited<JsonObject> {
  if (patch === undefined) return { after: before };
  const after = mergePatch(before, patch) as JsonObject;
  const verdict = inspectJson(after, { depth: limits.depth, keysPerObject: limits.keys_per_object });
  if ("error" in verdict) {
    const { field, message } = verdict.error;
    return { refusal: refuseFields([{ field: field === "" ? "metadata" : `metadata.${field}`, message }]) };
  }
  // The estimate counts UTF-16 units, which take up to six bytes of JSON: only where it comes near the limit is the
  // exact size worth its price.
  if (verdict.bytes * 6 <= limits.metadata_bytes) return { after };
  const bytes = jsonBytes(after);
  if (bytes <= limits.metadata_bytes) return { after };
  return {
    refusal: refuse("PAYLOAD_TOO_LARGE", `metadata would be ${bytes} bytes, the limit is ${limits.metadata_bytes}`, {
      limit: limits.metadata_bytes,
      bytes,
    }),
  };
}
