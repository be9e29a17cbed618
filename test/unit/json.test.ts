import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inspectJson, jsonBytes, jsonEqual } from "../../shared/json.ts";
import { nested } from "../support/nested.ts";

const BOUNDS = { depth: 4, keysPerObject: 3 };
const fieldOf = (value: unknown) => {
  const verdict = inspectJson(value, BOUNDS);
  return "error" in verdict ? verdict.error : undefined;
};

describe("inspectJson", () => {
  test.each(["__proto__", "constructor", "prototype", "_bsontype", "$set", "a.b", "a\0b"])(
    "[G9] the key %j is refused wherever it stands",
    (key) => {
      const value = JSON.parse(`{"list": [{"deep": {${JSON.stringify(key)}: 1}}]}`);
      expect(fieldOf(value)).toMatchObject({ field: "list[0].deep" });
    },
  );

  test("keys that only look like those are fine", () => {
    expect(fieldOf({ proto: 1, a$: 1, toString: 1 })).toBeUndefined();
  });

  test("[G12] [M7] [L3] depth and keys at the bound pass, one more is refused", () => {
    expect(fieldOf(nested(4))).toBeUndefined();
    expect(fieldOf(nested(5))).toMatchObject({ message: "is nested deeper than 4 levels" });
    expect(fieldOf([[[[]]]])).toBeUndefined();
    expect(fieldOf([[[[[]]]]])).toBeDefined();
    expect(fieldOf({ a: 1, b: 1, c: 1 })).toBeUndefined();
    expect(fieldOf({ in: { a: 1, b: 1, c: 1, d: 1 } })).toEqual({ field: "in", message: "has more than 3 keys" });
  });

  test("a depth that would overflow a stack is refused without one", () => {
    expect(fieldOf(JSON.parse("[".repeat(100_000) + "]".repeat(100_000)))).toBeDefined();
  });

  test("[G10] [G11] numbers are finite, strings well-formed", () => {
    expect(fieldOf({ a: JSON.parse("1e400") })).toMatchObject({ field: "a" });
    expect(fieldOf({ a: ["x", "\ud800"] })).toMatchObject({ field: "a[1]" });
    expect(fieldOf({ a: "😀" })).toBeUndefined();
  });

  test.each([undefined, () => 1, 1n, Symbol("x"), new Date(0), new Map(), Object.create(null)])(
    "%s is not JSON",
    (value) => {
      expect(fieldOf({ a: value })).toBeDefined();
    },
  );

  test("the size is never more than sixfold too small", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3, noUnicodeString: false }), (value) => {
        const verdict = inspectJson(value, { depth: 100, keysPerObject: 1_000 });
        if ("bytes" in verdict) expect(verdict.bytes * 6).toBeGreaterThanOrEqual(jsonBytes(value));
      }),
    );
  });
});

describe("jsonEqual", () => {
  test("is equality of JSON text with sorted keys", () => {
    const sorted = (value: unknown): string =>
      JSON.stringify(value, (_key, node) =>
        typeof node === "object" && node !== null && !Array.isArray(node)
          ? Object.fromEntries(Object.entries(node).toSorted(([a], [b]) => (a < b ? -1 : 1)))
          : node,
      );
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 2 }), fc.jsonValue({ maxDepth: 2 }), (a, b) => {
        expect(jsonEqual(a, b)).toBe(sorted(a) === sorted(b));
        expect(jsonEqual(a, structuredClone(a))).toBe(true);
      }),
    );
  });

  test.each([
    [{ a: 1 }, { a: 1, b: undefined }, false],
    [[1], { 0: 1 }, false],
    [null, {}, false],
    [[], {}, false],
    [0, -0, true],
    [{}, { toString: 1 }, false],
  ])("%j and %j: %s", (a, b, equal) => {
    expect(jsonEqual(a, b)).toBe(equal);
  });
});
