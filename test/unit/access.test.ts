import { describe, expect, test } from "vitest";
import { Keys, keyFromHeaders } from "../../server/domain/access.ts";

const A = "3f0e5a52-1d0a-4c1b-9d7e-6a7b8c9d0e1f";
const B = "7c1f0b8e-2b1c-4d2e-8f3a-1b2c3d4e5f60";

describe("Keys", () => {
  test("[K5] a configured key is an operator's, and known by a few digits of its digest", () => {
    const keys = new Keys([A, B], false);
    const identity = keys.identify(B);
    expect(identity).toMatchObject({ role: "operator" });
    expect(identity?.keyId).toMatch(/^[0-9a-f]{8}$/);
    expect(keys.identify(A)?.keyId).not.toBe(identity?.keyId);
    expect(JSON.stringify([keys, identity])).not.toContain(B);
  });

  test.each([undefined, "", "x", A.toUpperCase(), `${A} `, A.slice(0, -1)])("[K2] %j is nobody", (key) => {
    expect(new Keys([A, B], false).identify(key)).toBeUndefined();
  });

  test("[K2] with no keys at all nobody comes in, not even with an empty key", () => {
    for (const key of [undefined, "", A]) expect(new Keys([], false).identify(key)).toBeUndefined();
  });

  test("[K6] open, any key or none is an operator", () => {
    for (const key of [undefined, "", "whatever"]) expect(new Keys([], true).identify(key)?.role).toBe("operator");
  });
});

describe("keyFromHeaders", () => {
  test.each([
    [{}, { key: undefined }],
    [{ "x-api-key": A }, { key: A }],
    [{ authorization: `Bearer ${A}` }, { key: A }],
    [{ authorization: `bearer   ${A}` }, { key: A }],
    [{ authorization: `Basic ${A}` }, { key: undefined }],
    [{ authorization: A }, { key: undefined }],
    [{ authorization: `Bearer ${A} ${B}` }, { key: undefined }],
    [{ "x-api-key": A, authorization: `Bearer ${A}` }, { key: A }],
    [{ "x-api-key": A, authorization: `Bearer ${B}` }, { ambiguous: true }],
    [{ "x-api-key": [A] }, { key: A }],
  ])("[K1] [K4] %j", (headers, expected) => {
    expect(keyFromHeaders(headers)).toEqual(expected);
  });
});
