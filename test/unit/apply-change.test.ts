import { describe, expect, test } from "vitest";
import { applyChange } from "../../shared/apply-change.ts";
import type { Session } from "../../shared/entities.ts";
import { AT, atSecond, sampleSession } from "../support/entries.ts";

const HELD = sampleSession({
  status: "WAITING",
  metadata: { a: 1, deep: { b: 2, c: 3 } },
  waiting_for: { kind: "input", question: "", since: AT },
  version: 3,
  seq: 5,
});

describe("applyChange", () => {
  test("[F5] a patch and the change's own numbers make the next version", () => {
    const patch = { status: "ACTIVE", waiting_for: null, metadata: { a: null, deep: { b: 9 } } };
    const { waiting_for: _, ...rest } = HELD;
    expect(applyChange(HELD, { seq: 8, at: atSecond(1), version: 4, patch })).toEqual({
      ...rest,
      status: "ACTIVE",
      metadata: { deep: { b: 9, c: 3 } },
      updated_at: atSecond(1),
      version: 4,
      seq: 8,
    });
  });

  test("[F6] a state replaces the whole, also where a patch stands beside it", () => {
    const state: Session = { ...HELD, status: "IDLE", metadata: {}, version: 64, seq: 90 };
    const change = { seq: 90, at: AT, version: 64, patch: { status: "PAUSED" }, state };
    expect(applyChange(HELD, change)).toEqual(state);
    expect(applyChange<Session>(undefined, change)).toEqual(state);
  });

  test.each([1, 2, 3])("[F7] [V15] version %i is not newer than version 3: ignored", (version) => {
    expect(applyChange(HELD, { seq: 9, at: AT, version, patch: { status: "IDLE" } })).toBeUndefined();
    expect(applyChange(HELD, { seq: 9, at: AT, version, state: HELD })).toBeUndefined();
  });

  test("[F7] a patch for what is not held is ignored, and so is a change with neither patch nor state", () => {
    expect(applyChange<Session>(undefined, { seq: 9, at: AT, version: 4, patch: {} })).toBeUndefined();
    expect(applyChange(HELD, { seq: 9, at: AT, version: 4 })).toBeUndefined();
  });

  test("what is held does not change", () => {
    const before = structuredClone(HELD);
    applyChange(HELD, { seq: 8, at: AT, version: 4, patch: { metadata: { deep: { b: null } } } });
    expect(HELD).toEqual(before);
  });
});
