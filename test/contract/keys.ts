import { describe, expect, test } from "vitest";
import type { KeyRecord, KeyStore } from "../../server/ports.ts";

const at = (second: number) => new Date(Date.UTC(2026, 10, 22, 12, 0, second)).toISOString();

function record(id: string, more: Partial<KeyRecord> = {}): KeyRecord {
  const digest = id.padEnd(64, "0");
  return { id, digest, role: "agent", projects: ["p", "q-*"], prefix: "shk_0000", created_at: at(0), ...more };
}

/** What every `KeyStore` keeps. */
export function keysContract(name: string, open: () => Promise<KeyStore>): void {
  describe(`keys in ${name}`, () => {
    test("a key comes back as it was added", async () => {
      const store = await open();
      const whole = record("a", { name: "n", expires_at: at(50), replaced_by: "b", last_used_at: at(1) });
      await store.add(whole);
      await store.add(record("b"));
      expect(await store.find("a")).toEqual(whole);
      expect(await store.find("b")).toEqual(record("b"));
      expect(await store.find("c")).toBeUndefined();
      await expect(store.add(record("a"))).rejects.toThrow();
    });

    test("[K9] living keys are those that were not revoked and have not expired, newest first", async () => {
      const store = await open();
      await store.add(record("old", { created_at: at(1) }));
      await store.add(record("new", { created_at: at(3), expires_at: at(11) }));
      await store.add(record("expired", { expires_at: at(10) }));
      await store.add(record("revoked"));
      await store.revoke("revoked", at(5));
      const ids = (records: readonly KeyRecord[]) => records.map(({ id }) => id);
      expect(ids(await store.readLiving(at(10), 10))).toEqual(["new", "old"]);
      expect(ids(await store.readLiving(at(10), 1))).toEqual(["new"]);
      expect(ids(await store.list(10))).toEqual(["new", "old", "expired", "revoked"]);
    });

    test("a key is revoked once", async () => {
      const store = await open();
      await store.add(record("a"));
      expect(await store.revoke("a", at(5))).toEqual(record("a", { revoked_at: at(5) }));
      expect(await store.revoke("a", at(9))).toEqual(record("a", { revoked_at: at(5) }));
      expect(await store.revoke("b", at(9))).toBeUndefined();
    });

    test("[K20] a replaced key expires when it is told to, or sooner", async () => {
      const store = await open();
      await store.add(record("a"));
      await store.add(record("b", { expires_at: at(5) }));
      expect(await store.replace("a", "x", at(9))).toMatchObject({ replaced_by: "x", expires_at: at(9) });
      expect(await store.replace("b", "x", at(9))).toMatchObject({ replaced_by: "x", expires_at: at(5) });
      expect(await store.replace("c", "x", at(9))).toBeUndefined();
    });

    test("keys that ended long ago are forgotten", async () => {
      const store = await open();
      await store.add(record("living"));
      await store.add(record("expired", { expires_at: at(5) }));
      await store.add(record("revoked"));
      await store.revoke("revoked", at(6));
      await store.forgetEnded(at(6));
      expect((await store.list(10)).map(({ id }) => id)).toEqual(["living", "revoked"]);
      await store.forgetEnded(at(7));
      expect((await store.list(10)).map(({ id }) => id)).toEqual(["living"]);
    });
  });
}
