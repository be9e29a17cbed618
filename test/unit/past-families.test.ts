import { describe, expect, test } from "vitest";
import { foldChange } from "../../server/domain/fold.ts";
import { type Entry, Family, type LogChange } from "../../server/domain/records.ts";
import { windowOf } from "../../server/following/snapshot.ts";
import { PastFamilies } from "../../server/history/past-families.ts";
import { stepsOf } from "../../server/memory/change-log.ts";
import type { EntrySteps } from "../../server/ports.ts";
import { atSecond, creation, entryOf, sampleSession } from "../support/entries.ts";

const actor = { kind: "hub", id: "hub.1" } as const;
const ENDED = 7;

/** Sessions a and b take turns; a's fourth version is logged whole; b ends with the `ENDED`th change, its task before. */
function history(): Entry[] {
  const step = (seq: number, id: string, version: number, more: object) =>
    entryOf([{ seq, kind: "session", id, session_id: id, version, actor, type: "updated", ...more } as LogChange]);
  const task = { task_id: "t", session_id: "b", project_id: "p", title: "t", status: "FAILED", metadata: {} };
  const ended = { created_at: atSecond(3), updated_at: atSecond(3), ended_at: atSecond(3), version: 1, seq: 4 };
  return [
    entryOf([creation(1, "a")]),
    entryOf([creation(2, "b")]),
    step(3, "a", 2, { patch: { metadata: { n: 1, only: true } } }),
    step(4, "b", 1, { kind: "task", id: "t", type: "created", state: { ...task, ...ended } }),
    step(5, "a", 3, { patch: { metadata: { n: 2 } } }),
    step(6, "a", 4, { state: sampleSession({ session_id: "a", version: 4, seq: 6, metadata: { n: 3 } }) }),
    step(ENDED, "b", 2, { type: "ended", patch: { status: "FAILED", liveness: "ended", ended_at: atSecond(6) } }),
    step(8, "a", 5, { patch: { metadata: { n: 4 } } }),
  ];
}

function foldedTo(seq: number): Map<string, Family> {
  const families = new Map<string, Family>();
  for (const { changes, at } of history()) {
    for (const change of changes.filter((one) => one.seq <= seq)) {
      const family = families.get(change.session_id) ?? new Family();
      families.set(change.session_id, family);
      foldChange(family, change, at);
    }
  }
  return families;
}

/** The entry with what was decoded of it told to `decoded`. */
function watched(entry: Entry, decoded: number[]): EntrySteps {
  const { steps, ...rest } = stepsOf(entry);
  return {
    ...rest,
    steps: steps.map((step) => ({
      ...step,
      decode: () => {
        decoded.push(step.seq);
        return step.decode();
      },
    })),
  };
}

const shown = (families: ReadonlyMap<string, Family>, since: string) => windowOf(families, since);

describe("[R34] a project on its way to a past state", () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    "up to %i it shows what folding every change shows, wherever it rests",
    async (to) => {
      for (let rest = 0; rest <= to; rest++) {
        const past = new PastFamilies(new Map());
        for (const entry of history().slice(0, to)) {
          past.add(stepsOf(entry));
          if (entry.to_seq === rest) await past.settle(atSecond(0));
        }
        await past.settle(atSecond(0));
        expect(shown(past.families, atSecond(0))).toEqual(shown(foldedTo(to), atSecond(0)));
      }
    },
  );

  test("what a whole state overtakes is not decoded", async () => {
    const decoded: number[] = [];
    const past = new PastFamilies(new Map());
    for (const entry of history()) past.add(watched(entry, decoded));
    expect([decoded, past.pendingBytes > 0]).toEqual([[], true]);
    await past.settle(atSecond(0));
    expect([decoded.toSorted(), past.pendingBytes]).toEqual([[2, 4, 6, 7, 8], 0]);
  });

  test("who ended before the window is left out undecoded, also when it was there before", async () => {
    const decoded: number[] = [];
    const since = atSecond(ENDED);
    for (const rest of [0, 5]) {
      const past = new PastFamilies(new Map());
      for (const entry of history()) {
        past.add(watched(entry, decoded));
        if (entry.to_seq === rest) await past.settle(atSecond(0));
      }
      decoded.length = 0;
      await past.settle(since);
      expect(decoded).toEqual([6, 8]);
      expect(shown(past.families, since)).toEqual(shown(foldedTo(8), since));
      expect([...past.families.keys()]).toEqual(["a"]);
    }
  });

  test("of an entry only the changes that are wanted count", async () => {
    const past = new PastFamilies(new Map());
    past.add(stepsOf(entryOf([creation(1, "a"), creation(2, "b")])), ({ seq }) => seq <= 1);
    await past.settle(atSecond(0));
    expect([...past.families.keys()]).toEqual(["a"]);
  });
});
