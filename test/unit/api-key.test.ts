import { describe, expect, test } from "vitest";
import { digestOf, displayPrefix, fingerprintOf, hasKeyForm, newKey } from "../../server/domain/api-key.ts";

describe("the form of a managed key", () => {
  test("[K15] a new key has it, is one word, and never comes twice", () => {
    const keys = Array.from({ length: 500 }, newKey);
    for (const key of keys) {
      expect(key).toMatch(/^shk_[0-9A-Za-z]{38}$/);
      expect(hasKeyForm(key)).toBe(true);
    }
    expect(new Set(keys).size).toBe(keys.length);
    expect(new Set(keys.map((key) => key.slice(4, 36)).join("")).size).toBe(62);
  });

  test("[K15] one wrong character anywhere is seen", () => {
    const key = newKey();
    for (let at = 0; at < key.length; at++) {
      const other = key[at] === "x" ? "y" : "x";
      expect(hasKeyForm(key.slice(0, at) + other + key.slice(at + 1)), `at ${at}`).toBe(false);
    }
    for (const text of ["", "shk_", key.slice(0, -1), `${key}0`, ` ${key}`]) expect(hasKeyForm(text)).toBe(false);
  });

  test("[K15] the check sum is that of the documentation", () => {
    // CRC-32 of "shk_" and 32 zeros, in base 62.
    const body = `shk_${"0".repeat(32)}`;
    expect(hasKeyForm(`${body}${KNOWN_SUM}`)).toBe(true);
  });

  test("[K11] what is kept of a key does not give it away", () => {
    const key = newKey();
    expect(displayPrefix(key)).toHaveLength(8);
    expect(digestOf(key)).toMatch(/^[0-9a-f]{64}$/);
    expect(digestOf(key).startsWith(fingerprintOf(digestOf(key)))).toBe(true);
  });
});

const KNOWN_SUM = "1sefaA";
