import { describe, expect, test } from "vitest";
import { digestOf, fingerprintOf, newKey } from "../../server/domain/api-key.ts";
import { ProjectScope } from "../../server/domain/project-scope.ts";
import { configuredKeys } from "../../server/keys/configured-keys.ts";
import { KeyRing, type KnownKey } from "../../server/keys/key-ring.ts";

const A = "3f0e5a52-1d0a-4c1b-9d7e-6a7b8c9d0e1f";
const B = "7c1f0b8e-2b1c-4d2e-8f3a-1b2c3d4e5f60";

function setUp({ isOpen = false } = {}) {
  let now = 1_000_000;
  const clock = {
    now: () => now,
    monotonic: () => now,
    advance: (ms: number) => {
      now += ms;
    },
  };
  const lines: { fields: object; message: string }[] = [];
  const line = (fields: object, message: string) => void lines.push({ fields, message });
  const ring = new KeyRing({ clock, log: { debug: line, info: line, warn: line, error: line }, isOpen });
  return { ring, clock, lines };
}

function managed(key: string, more: Partial<KnownKey> = {}): KnownKey {
  const digest = digestOf(key);
  const scope = new ProjectScope(["p"]);
  return { digest, principal: { role: "agent", scope, keyId: "key-1", fingerprint: fingerprintOf(digest) }, ...more };
}

describe("who a key is", () => {
  test("[K5] a configured key is an operator's, and known by a few digits of its digest", () => {
    const { ring } = setUp();
    ring.setKeys("API_KEYS", configuredKeys([A, B]));
    const principal = ring.identify(B);
    expect(principal).toMatchObject({ role: "operator", fingerprint: expect.stringMatching(/^[0-9a-f]{8}$/) });
    expect(ring.identify(A)).not.toMatchObject({ fingerprint: (principal as { fingerprint: string }).fingerprint });
    expect(JSON.stringify([ring, principal])).not.toContain(B);
  });

  test.each([undefined, "", "x", A.toUpperCase(), `${A} `, A.slice(0, -1), newKey()])("[K2] %j is nobody", (key) => {
    const { ring } = setUp();
    ring.setKeys("API_KEYS", configuredKeys([A, B]));
    expect(ring.identify(key)).toBeUndefined();
  });

  test("[K2] with no keys at all nobody comes in, not even with an empty key", () => {
    for (const key of [undefined, "", A]) expect(setUp().ring.identify(key)).toBeUndefined();
  });

  test("[K6] open, any key or none is an operator, and one that is known is itself", () => {
    const { ring } = setUp({ isOpen: true });
    const key = newKey();
    ring.setKeys("managed", [managed(key)]);
    for (const any of [undefined, "", "whatever"]) expect(ring.identify(any)).toMatchObject({ role: "operator" });
    expect(ring.identify(key)).toMatchObject({ role: "agent" });
  });

  test("[K11] [K22] a refused key is in the log by its fingerprint and a reason, not by itself", () => {
    const { ring, lines } = setUp();
    const [unknown, mistyped] = [newKey(), `${newKey().slice(0, -1)}!`];
    ring.identify(unknown);
    ring.identify(mistyped);
    expect(lines.map(({ fields }) => fields)).toEqual([
      { reason: "unknown or revoked", fingerprint: fingerprintOf(digestOf(unknown)) },
      { reason: "malformed or unknown", fingerprint: fingerprintOf(digestOf(mistyped)) },
    ]);
    expect(JSON.stringify(lines)).not.toContain(unknown);
  });
});

describe("the end of a key", () => {
  test("[K9] [K17] a key counts until it expires, to the millisecond", () => {
    const { ring, clock } = setUp();
    const key = newKey();
    ring.setKeys("managed", [managed(key, { expiresAt: clock.now() + 100 })]);
    const principal = ring.identify(key);
    if (principal === undefined || principal instanceof Promise) throw new Error("not known");
    clock.advance(99);
    expect(ring.identify(key)).toBe(principal);
    expect(ring.endOf(principal)).toBeUndefined();
    clock.advance(1);
    expect(ring.identify(key)).toBeUndefined();
    expect(ring.endOf(principal)).toBe("expired");
  });

  test("[K9] a key that is gone from its source is revoked, those of other sources stay", () => {
    const { ring } = setUp();
    const key = newKey();
    let told = 0;
    ring.onChange(() => {
      told += 1;
    });
    ring.setKeys("API_KEYS", configuredKeys([A]));
    ring.setKeys("managed", [managed(key)]);
    const principal = ring.identify(key);
    if (principal === undefined || principal instanceof Promise) throw new Error("not known");
    ring.setKeys("managed", []);
    expect(ring.identify(key)).toBeUndefined();
    expect(ring.endOf(principal)).toBe("revoked");
    expect(ring.identify(A)).toMatchObject({ role: "operator" });
    expect(told).toBe(3);
  });

  test("[K20] use of a replaced key is told at most once a minute, by fingerprint", () => {
    const { ring, clock, lines } = setUp();
    const key = newKey();
    ring.setKeys("managed", [managed(key, { isReplaced: true, expiresAt: clock.now() + 3_600_000 })]);
    const told = () => lines.filter(({ fields }) => (fields as { event?: string }).event === "key.old_used");
    for (let use = 0; use < 5; use++) ring.identify(key);
    expect(told()).toHaveLength(1);
    clock.advance(60_000);
    ring.identify(key);
    expect(told()).toHaveLength(2);
    expect(JSON.stringify(lines)).not.toContain(key);
    expect(ring.lastUseOf("key-1")).toBe(clock.now());
  });
});
