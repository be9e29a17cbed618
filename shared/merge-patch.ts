import { isJsonObject, type JsonObject, type JsonValue, jsonEqual } from "./json.ts";

/** JSON Merge Patch, RFC 7396 section 2. Never changes its arguments; parts without a change are shared. */
export function mergePatch(target: JsonValue | undefined, patch: JsonValue): JsonValue {
  if (!isJsonObject(patch)) return patch;
  const result: Record<string, JsonValue> = isJsonObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(Object.hasOwn(result, key) ? result[key] : undefined, value);
  }
  return result;
}

/**
 * The merge patch that turns `before` into `after`, or undefined when they are equal. Exact for objects that hold no
 * null outside arrays, which is what entities promise; RFC 7396 itself cannot set a null.
 */
export function diffPatch(before: JsonObject, after: JsonObject): JsonObject | undefined {
  let patch: Record<string, JsonValue> | undefined;
  const put = (key: string, value: JsonValue) => {
    patch ??= {};
    patch[key] = value;
  };
  for (const key of Object.keys(before)) {
    if (before[key] !== undefined && (!Object.hasOwn(after, key) || after[key] === undefined)) put(key, null);
  }
  for (const [key, value] of Object.entries(after)) {
    if (value === undefined) continue;
    const old = Object.hasOwn(before, key) ? before[key] : undefined;
    if (old === value) continue;
    if (isJsonObject(old) && isJsonObject(value)) {
      const inner = diffPatch(old, value);
      if (inner !== undefined) put(key, inner);
    } else if (!jsonEqual(old, value)) {
      put(key, value);
    }
  }
  return patch;
}
