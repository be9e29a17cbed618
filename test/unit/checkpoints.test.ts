import { describe, expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import { Family } from "../../server/domain/records.ts";
import { Checkpoints } from "../../server/history/checkpoints.ts";
import { sampleSession } from "../support/entries.ts";

function familiesAt(seq: number, count = 1): Map<string, Family> {
  const families = new Map<string, Family>();
  for (let index = 0; index < count; index++) {
    const family = new Family();
    const entity = sampleSession({ session_id: `s${index}`, seq });
    family.session = { entity, appliedSeq: seq, lastOp: 0, lastOpSeq: 0, editVersion: 1 };
    families.set(`s${index}`, family);
  }
  return families;
}

const checkpoints = (checkpointEntities: number) =>
  new Checkpoints({ ...BOUNDS, checkpointChanges: 10, checkpointEntities } as unknown as typeof BOUNDS);

describe("past states that are remembered", () => {
  test("[R34] the nearest before a seq is given, of the same project and epoch", () => {
    const kept = checkpoints(100);
    for (const seq of [10, 20, 30]) kept.keep("p/e", seq, familiesAt(seq));
    expect(kept.nearest("p/e", 29)?.seq).toBe(20);
    expect(kept.nearest("p/e", 30)?.seq).toBe(30);
    expect(kept.nearest("p/e", 9)).toBeUndefined();
    expect(kept.nearest("p/other", 29)).toBeUndefined();
    expect([kept.isDue(10, 19, 3), kept.isDue(10, 20, 3)]).toEqual([false, true]);
    expect([kept.isDue(10, 20, 30), kept.isDue(10, 40, 30)]).toEqual([false, true]);
  });

  test("[R34] what is done to the one that was given does not change what is remembered", () => {
    const kept = checkpoints(100);
    const families = familiesAt(10);
    kept.keep("p/e", 10, families);
    families.get("s0")?.tasks.clear();
    families.clear();
    const given = kept.nearest("p/e", 10)?.families;
    const family = given?.get("s0");
    if (family !== undefined) family.session = undefined;
    expect(kept.nearest("p/e", 10)?.families.get("s0")?.session?.appliedSeq).toBe(10);
  });

  test("of a project too large to remember all of it, what is remembered lies all over its past", () => {
    const kept = checkpoints(8);
    for (let seq = 10; seq <= 160; seq += 10) kept.keep("p/e", seq, familiesAt(seq, 2));
    const distances = Array.from({ length: 160 }, (_, index) => index + 1 - (kept.nearest("p/e", index + 1)?.seq ?? 0));
    expect(Math.max(...distances)).toBeLessThanOrEqual(60);
  });

  test("the project asked for least recently gives way first, and what is larger than all room is not kept", () => {
    const kept = checkpoints(4);
    kept.keep("p/e", 10, familiesAt(10, 2));
    kept.keep("q/e", 10, familiesAt(10, 2));
    expect(kept.nearest("p/e", 15)?.seq).toBe(10);
    kept.keep("r/e", 10, familiesAt(10, 2));
    expect(kept.nearest("p/e", 15)?.seq).toBe(10);
    expect(kept.nearest("q/e", 15)).toBeUndefined();
    kept.keep("s/e", 10, familiesAt(10, 5));
    expect(kept.nearest("s/e", 10)).toBeUndefined();
    expect(kept.nearest("r/e", 99)?.seq).toBe(10);
  });
});
