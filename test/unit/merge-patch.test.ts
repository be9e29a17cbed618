import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { frozenCopy } from "../../server/memory/frozen-copy.ts";
import type { JsonObject, JsonValue } from "../../shared/json.ts";
import { jsonEqual } from "../../shared/json.ts";
import { diffPatch, mergePatch } from "../../shared/merge-patch.ts";

/** RFC 7396, appendix A: original, patch, result. */
const APPENDIX_A: readonly (readonly [JsonValue, JsonValue, JsonValue])[] = [
  [{ a: "b" }, { a: "c" }, { a: "c" }],
  [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
  [{ a: "b" }, { a: null }, {}],
  [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
  [{ a: ["b"] }, { a: "c" }, { a: "c" }],
  [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
  [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
  [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
  [
    ["a", "b"],
    ["c", "d"],
    ["c", "d"],
  ],
  [{ a: "b" }, ["c"], ["c"]],
  [{ a: "foo" }, null, null],
  [{ a: "foo" }, "bar", "bar"],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: "b", c: null }, { a: "b" }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
];

/** Names that every object inherits are names like any other. */
const key = fc.constantFrom("a", "b", "c", "d", "toString", "valueOf", "hasOwnProperty", "");
const leaf = fc.oneof(
  fc.integer({ min: -2, max: 2 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0),
  fc.string(),
  fc.boolean(),
);

const { entity, withNulls } = fc.letrec<{
  entity: JsonObject;
  value: JsonValue;
  item: JsonValue;
  withNulls: JsonObject;
}>((tie) => ({
  item: fc.oneof(
    { depthSize: "small" },
    leaf,
    fc.constant(null),
    tie("entity"),
    fc.array(tie("item"), { maxLength: 3 }),
  ),
  value: fc.oneof({ depthSize: "small" }, leaf, tie("entity"), fc.array(tie("item"), { maxLength: 3 })),
  entity: fc.dictionary(key, tie("value"), { maxKeys: 5, noNullPrototype: true }),
  withNulls: fc.dictionary(key, fc.oneof({ depthSize: "small" }, tie("value"), fc.constant(null), tie("withNulls")), {
    maxKeys: 5,
    noNullPrototype: true,
  }),
}));

describe("mergePatch", () => {
  test.each(APPENDIX_A)("[M1] %j patched with %j is %j", (original, patch, result) => {
    expect(mergePatch(original, patch)).toEqual(result);
  });

  test("[M2] never changes what it is given, and leaves no null outside arrays", () => {
    fc.assert(
      fc.property(entity, withNulls, (before, patch) => {
        const result = mergePatch(frozenCopy(before), frozenCopy(patch)) as JsonObject;
        expect(nullsOutsideArrays(result)).toBe(false);
        expect(mergePatch(frozenCopy(result), frozenCopy(patch))).toEqual(result);
      }),
    );
  });
});

describe("diffPatch", () => {
  test("[F4] [F5] leads exactly from one entity to the other", () => {
    fc.assert(
      fc.property(entity, entity, (before, after) => {
        const patch = diffPatch(frozenCopy(before), frozenCopy(after));
        expect(mergePatch(before, patch ?? {})).toEqual(after);
        expect(patch === undefined).toBe(jsonEqual(before, after));
      }),
      { numRuns: 500 },
    );
  });

  test("[D7] [M9] says undefined for equal entities, whatever the order of their keys", () => {
    expect(diffPatch({ a: 1, b: { c: [1, { d: 2, e: 3 }] } }, { b: { c: [1, { e: 3, d: 2 }] }, a: 1 })).toBeUndefined();
    expect(diffPatch({ a: 1 }, { a: 1, b: undefined } as unknown as JsonObject)).toBeUndefined();
  });

  test("a key named like a method of every object is removed and set like any other", () => {
    expect(diffPatch({ toString: 1 } as unknown as JsonObject, {})).toEqual({ toString: null });
    expect(diffPatch({}, { valueOf: { a: 1 } } as unknown as JsonObject)).toEqual({ valueOf: { a: 1 } });
  });

  test("arrays are replaced whole, and keep their nulls", () => {
    expect(diffPatch({ a: [1, null] }, { a: [1, null, { b: null }] })).toEqual({ a: [1, null, { b: null }] });
  });
});

function nullsOutsideArrays(value: JsonValue): boolean {
  if (value === null) return true;
  if (typeof value !== "object" || Array.isArray(value)) return false;
  return Object.values(value).some(nullsOutsideArrays);
}
