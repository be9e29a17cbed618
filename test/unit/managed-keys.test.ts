import { afterEach, expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import { digestOf, newKey } from "../../server/domain/api-key.ts";
import { KeyRing } from "../../server/keys/key-ring.ts";
import { ManagedKeys } from "../../server/keys/managed-keys.ts";
import type { KeyRecord } from "../../server/ports.ts";
import { eventually } from "../support/eventually.ts";

const log = { debug() {}, info() {}, warn() {}, error() {} };
const clock = { now: () => Date.parse("2026-11-22T12:00:00Z"), monotonic: () => performance.now() };
let started: ManagedKeys | undefined;
afterEach(() => started?.stop());

function record(key: string, more: Partial<KeyRecord> = {}): KeyRecord {
  const fixed = { role: "agent", projects: ["p"], prefix: "shk_", created_at: "2026-11-22T11:00:00.000Z" } as const;
  return { id: `key-${digestOf(key).slice(0, 12)}`, digest: digestOf(key), ...fixed, ...more };
}

/** A store whose reads the test answers, in order. */
function setUp(pollMs: number = BOUNDS.keysPollMs) {
  const reads: PromiseWithResolvers<KeyRecord[]>[] = [];
  const readLiving = () => {
    const read = Promise.withResolvers<KeyRecord[]>();
    reads.push(read);
    return read.promise;
  };
  const ring = new KeyRing({ clock, log, isOpen: false });
  const bounds = { ...BOUNDS, keysPollMs: pollMs } as typeof BOUNDS;
  started = new ManagedKeys({ store: { readLiving }, ring, clock, log, bounds });
  return { managed: started, ring, reads };
}

test("[K21] whatever is said while keys are read, they are read once more, and no more than that", async () => {
  const { managed, ring, reads } = setUp();
  const [a, b] = [newKey(), newKey()];
  const starting = managed.start();
  reads[0]?.resolve([record(a)]);
  await starting;
  const refreshed = [managed.refresh(), managed.refresh(), managed.refresh()];
  expect(reads).toHaveLength(2);
  void managed.refresh();
  reads[1]?.resolve([record(a)]);
  await eventually("one read more", () => reads.length === 3);
  expect(ring.identify(b)).toBeUndefined();
  reads[2]?.resolve([record(b)]);
  await Promise.all(refreshed);
  expect(reads).toHaveLength(3);
  expect(ring.identify(b)).toMatchObject({ role: "agent" });
  expect(ring.identify(a)).toBeUndefined();
});

test("[K21] a database that does not answer leaves the keys as they were, and is asked again", async () => {
  const { managed, ring, reads } = setUp(5);
  const key = newKey();
  const starting = managed.start();
  reads[0]?.resolve([record(key)]);
  await starting;
  await eventually("a poll", () => reads.length === 2);
  reads[1]?.reject(new Error("away"));
  await eventually("another poll", () => reads.length === 3);
  expect(ring.identify(key)).toMatchObject({ role: "agent" });
  reads[2]?.resolve([]);
  await eventually("the key is gone", () => ring.identify(key) === undefined);
});

test("a hub that cannot read its keys does not start", async () => {
  const { managed, reads } = setUp();
  const starting = managed.start();
  reads[0]?.reject(new Error("away"));
  await expect(starting).rejects.toThrow("away");
});

test("[K7] an operator's key reaches everything, whatever its projects say", async () => {
  const { managed, ring, reads } = setUp();
  const key = newKey();
  const starting = managed.start();
  reads[0]?.resolve([record(key, { role: "operator", projects: [] })]);
  await starting;
  expect(ring.identify(key)).toMatchObject({ role: "operator", scope: { isAll: true } });
});
