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
  return FORBIDDEN_KEYS.has(key) || key.startsWith("$") || key.includes(".") || key.includes("\0");
}

const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype", "_bsontype"]);

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
  const walk = new Walk(bounds);
  const error = walk.visit(value, 1);
  return error === undefined ? { bytes: walk.bytes } : { error };
}

/** The client package also runs where `String.prototype.isWellFormed` is not there yet (Node 18, older browsers). */
const isWellFormed: (text: string) => boolean =
  typeof String.prototype.isWellFormed === "function"
    ? (text) => text.isWellFormed()
    : (text) => !/\p{Surrogate}/u.test(text);

/** Every message passes here: no allocation per node, and paths are put together only on the way back from an error. */
class Walk {
  bytes = 0;
  readonly #bounds: JsonBounds;

  constructor(bounds: JsonBounds) {
    this.#bounds = bounds;
  }

  visit(node: unknown, depth: number): FieldError | undefined {
    switch (typeof node) {
      case "string":
        this.bytes += node.length + 3;
        // A lone surrogate would come back from MongoDB as U+FFFD, so the mirror and the document would differ.
        return isWellFormed(node) ? undefined : fault("must be well-formed Unicode");
      case "number":
        this.bytes += 9;
        return Number.isFinite(node) ? undefined : fault("must be a finite number");
      case "boolean":
        this.bytes += 5;
        return undefined;
      case "object":
        this.bytes += 5;
        if (node === null) return undefined;
        if (depth > this.#bounds.depth) return fault(`is nested deeper than ${this.#bounds.depth} levels`);
        return Array.isArray(node) ? this.#visitArray(node, depth) : this.#visitObject(node, depth);
      default:
        return fault("must be JSON");
    }
  }

  #visitArray(items: readonly unknown[], depth: number): FieldError | undefined {
    for (let index = 0; index < items.length; index++) {
      const error = this.visit(items[index], depth + 1);
      if (error !== undefined) return inside(`[${index}]`, error);
    }
    return undefined;
  }

  #visitObject(node: object, depth: number): FieldError | undefined {
    if (Object.getPrototypeOf(node) !== Object.prototype) return fault("must be JSON");
    const keys = Object.keys(node);
    const most = this.#bounds.keysPerObject;
    if (keys.length > most) return fault(`has more than ${most} keys`);
    for (const key of keys) {
      this.bytes += key.length + 3;
      if (isForbiddenKey(key)) return fault(`has a forbidden key: ${JSON.stringify(key.slice(0, 40))}`);
      const error = this.visit((node as JsonObject)[key], depth + 1);
      if (error !== undefined) return inside(key, error);
    }
    return undefined;
  }
}

function fault(message: string): FieldError {
  return { field: "", message };
}

/** The complaint as seen one level up: `metadata` + `[0].a` is `metadata[0].a`. */
function inside(step: string, { field, message }: FieldError): FieldError {
  const joint = field === "" || field.startsWith("[") ? "" : ".";
  return { field: `${step}${joint}${field}`, message };
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
