import { expect, test } from "vitest";
import { encodeEntry } from "../../server/mongo/codec.ts";
import { openOf, publishOf, Scene } from "../support/entries.ts";
import { LogCheck } from "../support/log-check.ts";

/** A session that is opened and publishes three times, an entry each. */
function someEntries() {
  const scene = new Scene();
  scene.apply(openOf());
  for (const op of [1, 2, 3]) scene.apply(publishOf(op, [{ kind: "session", metadata: { op } }]));
  return scene.entries.map((entry) => encodeEntry(entry));
}

function failuresOf(entries: readonly ReturnType<typeof encodeEntry>[], ackedOps: number): readonly string[] {
  const check = new LogCheck();
  for (const entry of entries) check.add(entry);
  check.acked("p", "s", ackedOps);
  return check.failures;
}

test("a whole log passes, also with an op whose ack did not arrive", () => {
  expect(failuresOf(someEntries(), 3)).toEqual([]);
  expect(failuresOf(someEntries(), 2)).toEqual([]);
});

test("a hole, a double, another epoch and an op that is not there are found", () => {
  const [open, one, two, three] = someEntries() as [Entry, Entry, Entry, Entry];
  expect(failuresOf([open, one, three], 3).join()).toMatch(/entry 4 follows 2.*version 4 follows 2.*not there once/);
  expect(failuresOf([open, one, one, two, three], 3).join()).toMatch(/entry 2 follows 2/);
  expect(failuresOf([open, one, { ...two, epoch: "other" }, three], 3).join()).toMatch(/another epoch/);
  expect(failuresOf([open, one, two, three], 4)).toEqual(["p/s: op 4 was acked, the log ends at 3"]);
  expect(failuresOf([open, one, two, three], 1)).toEqual(["p/s: 3 ops, only 1 were published"]);
});

type Entry = ReturnType<typeof encodeEntry>;
