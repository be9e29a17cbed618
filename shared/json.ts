import type { FieldError } from "./errors.ts";

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/**
 * `__proto__` and its friends would change prototypes in a careless merge, `$…` and dots would reach MongoDB as
 * operators and paths, and an object with `_bsontype` would be taken for a BSON value by the driver.
 */
function isForbiddenKey(key: string): boolean {
  return (
    key === "__proto__" ||
    key === "constructor" ||
    key === "prototype" ||
    key === "_bsontype" ||
    key.startsWith("$") ||
    key.includes(".") ||
    key.includes("\0")
  );
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

interface JsonBounds {
  readonly depth: number;
  readonly keysPerObject: number;
}

/** Either what is wrong, or the approximate size in bytes (exact enough for queue bounds, never for a limit told to clients). */
type JsonVerdict = { readonly error: FieldError } | { readonly bytes: number };

/**
 * Walks a parsed JSON value before anything else touches it. The depth bound also bounds this recursion:
 * `JSON.parse` accepts a depth of 400,000, `JSON.stringify` and most walkers overflow the stack at 5,000.
 */
export function inspectJson(value: unknown, bounds: JsonBounds): JsonVerdict {
  let bytes = 0;
  const walk = (node: unknown, path: string, depth: number): FieldError | undefined => {
    switch (typeof node) {
      case "string":
        bytes += node.length + 3;
        return isWellFormed(node) ? undefined : { field: path, message: "must be well-formed Unicode" };
      case "number":
        bytes += 9;
        return Number.isFinite(node) ? undefined : { field: path, message: "must be a finite number" };
      case "boolean":
        bytes += 5;
        return undefined;
      case "object":
        break;
      default:
        return { field: path, message: "must be JSON" };
    }
    bytes += 5;
    if (node === null) return undefined;
    if (depth > bounds.depth) return { field: path, message: `is nested deeper than ${bounds.depth} levels` };
    if (Array.isArray(node)) {
      for (let index = 0; index < node.length; index++) {
        const error = walk(node[index], `${path}[${index}]`, depth + 1);
        if (error !== undefined) return error;
      }
      return undefined;
    }
    if (Object.getPrototypeOf(node) !== Object.prototype) return { field: path, message: "must be JSON" };
    let keys = 0;
    for (const [key, child] of Object.entries(node)) {
      keys += 1;
      bytes += key.length + 3;
      if (keys > bounds.keysPerObject) return { field: path, message: `has more than ${bounds.keysPerObject} keys` };
      if (isForbiddenKey(key))
        return { field: path, message: `has a forbidden key: ${JSON.stringify(key.slice(0, 40))}` };
      const error = walk(child, path === "" ? key : `${path}.${key}`, depth + 1);
      if (error !== undefined) return error;
    }
    return undefined;
  };
  const error = walk(value, "", 1);
  return error === undefined ? { bytes } : { error };
}

/** A lone surrogate would come back from MongoDB as U+FFFD, so the mirror and the document would differ. */
function isWellFormed(text: string): boolean {
  // The client package also runs where this method is not there yet (Node 18, older browsers).
  return typeof text.isWellFormed === "function" ? text.isWellFormed() : !/\p{Surrogate}/u.test(text);
}

const utf8 = new TextEncoder();

/** Bytes of the value as UTF-8 JSON. */
export function jsonBytes(value: unknown): number {
  return utf8.encode(JSON.stringify(value)).length;
}

/** Structural equality of JSON values; the order of keys does not count. */
export function jsonEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b) || a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, index) => jsonEqual(item, b[index]));
  }
  const keysOfA = Object.keys(a);
  if (keysOfA.length !== Object.keys(b).length) return false;
  return keysOfA.every((key) => Object.hasOwn(b, key) && jsonEqual((a as JsonObject)[key], (b as JsonObject)[key]));
}
