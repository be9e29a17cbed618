import type { z } from "zod";
import { type FieldError, type Refusal, refuseFields } from "./errors.ts";
import { inspectJson } from "./json.ts";
import { DEFAULT_LIMITS, type Limits } from "./limits.ts";

/** Levels of the envelope around metadata: payload, changes, change. */
const ENVELOPE_DEPTH = 3;

export type Parsed<T> =
  | { readonly ok: true; readonly value: T; readonly bytes: number }
  | { readonly ok: false; readonly refusal: Refusal };

/**
 * The one gate for everything that comes from outside: structure first (depth, keys, numbers, Unicode), then the schema.
 * Fields that the schema does not know are dropped, so that newer clients can talk to older hubs.
 */
export function parseInput<S extends z.ZodType>(
  schema: S,
  input: unknown,
  limits: Limits = DEFAULT_LIMITS,
): Parsed<z.infer<S>> {
  const verdict = inspectJson(input, {
    depth: limits.depth + ENVELOPE_DEPTH,
    keysPerObject: limits.keys_per_object,
  });
  if ("error" in verdict) return { ok: false, refusal: refuseFields([verdict.error]) };
  const result = safeParse(schema, input);
  if (result === undefined)
    return { ok: false, refusal: refuseFields([{ field: "", message: "a field is malformed" }]) };
  if (!result.success) return { ok: false, refusal: refuseFields(fieldErrors(result.error, input)) };
  return { ok: true, value: result.data, bytes: verdict.bytes };
}

/**
 * zod measures whatever has a `length`, also where it has found already that the type is wrong, and throws over one that
 * is no number: `{"title": {"length": {"valueOf": 1, "toString": 1}}}`.
 */
function safeParse<S extends z.ZodType>(schema: S, input: unknown): z.ZodSafeParseResult<z.infer<S>> | undefined {
  try {
    return schema.safeParse(input);
  } catch {
    return undefined;
  }
}

/** zod's issues as `{field, message}`; a field that is not there at all "is required". */
export function fieldErrors(error: z.ZodError, input: unknown): FieldError[] {
  return error.issues.slice(0, 20).map((issue) => {
    const field = issue.path.reduce<string>(
      (path, part) =>
        typeof part === "number" ? `${path}[${part}]` : path === "" ? String(part) : `${path}.${String(part)}`,
      "",
    );
    if (issue.path.length > 0 && valueAt(input, issue.path) === undefined) return { field, message: "is required" };
    return { field, message: wording(issue.message) };
  });
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let node: unknown = input;
  for (const part of path) {
    if (typeof node !== "object" || node === null) return undefined;
    node = (node as Record<PropertyKey, unknown>)[part];
  }
  return node;
}

/** What zod says, as it reads after "field x". */
const WORDING: readonly (readonly [RegExp, string])[] = [
  [/^Invalid input: expected int, received number$/, "must be a whole number"],
  [/^Invalid input: expected (.+), received (.+)$/, "must be $1, not $2"],
  [/^Invalid input: expected (.+)$/, "must be $1"],
  [/^Invalid option: expected one of (.+)$/, "must be one of $1"],
  [/^Invalid discriminator value. Expected (.+)$/, "must be one of $1"],
  [/^Too \w+: expected \w+ to be <=(.+)$/, "must be at most $1"],
  [/^Too \w+: expected \w+ to be >=(.+)$/, "must be at least $1"],
  [/^Too \w+: expected \w+ to have <=(.+)$/, "must have at most $1"],
  [/^Too \w+: expected \w+ to have >=(.+)$/, "must have at least $1"],
  [/^Invalid ISO datetime$/, "must be an ISO 8601 time"],
  [/^Invalid key in record$/, "has a name that is empty or too long"],
];

function wording(message: string): string {
  const found = WORDING.find(([pattern]) => pattern.test(message));
  const text = found === undefined ? message : message.replace(found[0], found[1]);
  return text.charAt(0).toLowerCase() + text.slice(1);
}
