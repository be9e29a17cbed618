import { beforeEach, describe, expect, test } from "vitest";
import type { PurgeRecord, PurgeStore } from "../../server/ports.ts";
import { atSecond } from "../support/entries.ts";

function record(id: string, moved: number, over: Partial<PurgeRecord> = {}): PurgeRecord {
  return {
    id,
    project_id: "p",
    actor: { kind: "operator", id: "key:1" },
    requested_at: atSecond(0),
    moved_at: atSecond(moved),
    under_way: ["a", "b"],
    sessions: 0,
    entries: 0,
    kept: 0,
    ...over,
  };
}

/** What every PurgeStore does. `fresh` makes an empty one. */
export function purgesContract(name: string, fresh: () => Promise<PurgeStore>): void {
  describe(`purges in ${name}`, () => {
    let purges: PurgeStore;
    beforeEach(async () => {
      purges = await fresh();
    });

    test("a record is what was put last, every field of it", async () => {
      await purges.put(record("x", 1));
      const whole = record("x", 2, { session_id: "s", request_id: "r", ended_before: atSecond(9), after: "a" });
      await purges.put(whole);
      expect(await purges.find("x")).toEqual(whole);
      expect(await purges.find("y")).toBeUndefined();
    });

    test("open ones that have not moved are found; finished ones are dropped in time", async () => {
      for (const one of [record("x", 1), record("y", 5), record("z", 1, { finished_at: atSecond(1) })])
        await purges.put(one);
      expect((await purges.readOpen(atSecond(3), 10)).map(({ id }) => id)).toEqual(["x"]);
      expect(await purges.readOpen(atSecond(9), 1)).toHaveLength(1);
      await purges.forgetFinished(atSecond(1));
      expect(await purges.find("z")).toBeDefined();
      await purges.forgetFinished(atSecond(2));
      expect(await purges.find("z")).toBeUndefined();
      expect(await purges.find("x")).toBeDefined();
      await purges.drop("x");
      expect(await purges.find("x")).toBeUndefined();
    });
  });
}
