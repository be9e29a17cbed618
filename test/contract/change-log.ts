import { beforeEach, describe, expect, test } from "vitest";
import type { Entry } from "../../server/domain/records.ts";
import type { ChangeLog } from "../../server/ports.ts";
import { creation, entryOf } from "../support/entries.ts";

/** Entries of project `p` at 1, 2–3 and 4, touching sessions a; b and a; c. */
const ENTRIES: readonly Entry[] = [
  entryOf([creation(1, "a")]),
  entryOf([creation(2, "b"), creation(3, "a")]),
  entryOf([creation(4, "c")], { hub_id: "hub.2" }),
];

async function projectIds(log: ChangeLog): Promise<string[]> {
  const ids: string[] = [];
  for await (const id of log.projectIds()) ids.push(id);
  return ids;
}

/** What every ChangeLog does. `fresh` makes an empty one. */
export function changeLogContract(name: string, fresh: () => Promise<ChangeLog>): void {
  describe(`change log in ${name}`, () => {
    let log: ChangeLog;
    beforeEach(async () => {
      log = await fresh();
    });

    const fill = async () => {
      for (const entry of ENTRIES) expect(await log.append([entry])).toEqual(["committed"]);
    };

    test("an empty log has no head, no entries and no projects", async () => {
      expect(await log.readHead("p")).toBeUndefined();
      expect(await log.readAfter("p", 0, 10)).toEqual([]);
      expect(await log.readHolding("p", 1)).toBeUndefined();
      expect(await log.findAhead([{ projectId: "p", seq: 0 }])).toEqual([]);
      expect(await projectIds(log)).toEqual([]);
    });

    test("what is read is what was appended, in order and no more than asked for", async () => {
      await fill();
      expect(await log.readAfter("p", 0, 10)).toEqual(ENTRIES);
      expect(await log.readAfter("p", 0, 2)).toEqual(ENTRIES.slice(0, 2));
      expect(await log.readAfter("p", 1, 10)).toEqual(ENTRIES.slice(1));
      expect(await log.readAfter("p", 2, 10)).toEqual(ENTRIES.slice(2));
      expect(await log.readAfter("p", 4, 10)).toEqual([]);
    });

    test("[D3] a key is given once: a second entry at the same seq is taken, whatever it holds", async () => {
      await fill();
      const other = entryOf([creation(2, "z")], { hub_id: "hub.9" });
      expect(await log.append([other])).toEqual(["taken"]);
      expect(await log.append([ENTRIES[1] as Entry])).toEqual(["taken"]);
      expect(await log.readHolding("p", 2)).toEqual(ENTRIES[1]);
    });

    test("entries of several projects in one append have outcomes of their own", async () => {
      await fill();
      const q = entryOf([creation(1, "a", "q")], { project_id: "q" });
      const taken = entryOf([creation(4, "d")]);
      const next = entryOf([creation(5, "d")]);
      expect(await log.append([taken, q])).toEqual(["taken", "committed"]);
      expect(await log.append([next])).toEqual(["committed"]);
      expect(await log.readHead("q")).toEqual({ epoch: "e", seq: 1, at: q.at });
      expect(await projectIds(log)).toEqual(["p", "q"]);
    });

    test("two appends at once: one is committed, one is taken", async () => {
      const one = entryOf([creation(1, "a")], { hub_id: "hub.1" });
      const two = entryOf([creation(1, "b")], { hub_id: "hub.2" });
      const outcomes = (await Promise.all([log.append([one]), log.append([two])])).flat();
      expect(outcomes.toSorted()).toEqual(["committed", "taken"]);
      expect((await log.readHead("p"))?.seq).toBe(1);
    });

    test("the head is the last change of the last entry", async () => {
      await log.append([ENTRIES[0] as Entry]);
      await log.append([ENTRIES[1] as Entry]);
      expect(await log.readHead("p")).toEqual({ epoch: "e", seq: 3, at: ENTRIES[1]?.at });
    });

    test("an entry is found by any seq that it holds", async () => {
      await fill();
      expect(await log.readHolding("p", 1)).toEqual(ENTRIES[0]);
      expect(await log.readHolding("p", 3)).toEqual(ENTRIES[1]);
      expect(await log.readHolding("p", 5)).toBeUndefined();
      expect(await log.readHolding("other", 1)).toBeUndefined();
    });

    test("entries of some sessions are those that touch one of them", async () => {
      await fill();
      expect(await log.readAfterOfSessions("p", 0, ["a"])).toEqual(ENTRIES.slice(0, 2));
      expect(await log.readAfterOfSessions("p", 1, ["a", "c"])).toEqual(ENTRIES.slice(1));
      expect(await log.readAfterOfSessions("p", 2, ["nobody"])).toEqual([]);
    });

    test("the entry right after comes whatever it touches, as a proof that the log reaches back", async () => {
      await fill();
      expect(await log.readAfterOfSessions("p", 0, ["nobody"])).toEqual(ENTRIES.slice(0, 1));
      expect(await log.readAfterOfSessions("p", 0, ["c"])).toEqual([ENTRIES[0], ENTRIES[2]]);
    });

    test("what is before a seq is removed, of this project alone", async () => {
      await fill();
      const q = entryOf([creation(1, "a", "q")], { project_id: "q" });
      await log.append([q]);
      await log.deleteBefore("p", 4);
      expect(await log.readAfter("p", 0, 10)).toEqual(ENTRIES.slice(2));
      expect(await log.readHead("p")).toMatchObject({ seq: 4 });
      expect(await log.readAfter("q", 0, 10)).toEqual([q]);
      expect(await log.readHolding("p", 1)).toBeUndefined();
      expect(await log.readSpan("p", 3)).toBeUndefined();
    });

    test("a range and its spans are the entries that begin in it", async () => {
      await fill();
      const range: Entry[] = [];
      for await (const entries of log.readRange("p", 1, 3)) range.push(...entries);
      expect(range).toEqual(ENTRIES.slice(1, 2));
      expect(await log.readSpan("p", 3)).toEqual({ from_seq: 2, to_seq: 3, at: ENTRIES[1]?.at });
    });

    test("projects whose log goes on are found once each", async () => {
      await fill();
      await log.append([entryOf([creation(1, "a", "q")], { project_id: "q" })]);
      const heads = [
        { projectId: "p", seq: 1 },
        { projectId: "q", seq: 1 },
        { projectId: "none", seq: 0 },
      ];
      expect(await log.findAhead(heads)).toEqual(["p"]);
    });

    test("[D26] changes of removed sessions leave their entries, which stay, and so do the removals", async () => {
      const removed = { ...creation(4, "a"), type: "removed", patch: {}, state: undefined } as const;
      const { state: _, ...removal } = removed;
      await log.append([
        entryOf([creation(1, "a"), creation(2, "b")]),
        entryOf([creation(3, "a")]),
        entryOf([removal, creation(5, "c")]),
        entryOf([creation(6, "a")]),
      ]);
      const newest = [{ project_id: "p", session_id: "a", task_ids: [], seq: 4 }];
      expect(await log.readRemovals("p", ["a", "b"])).toEqual(newest);
      expect(await log.redact("p", ["a"], 4)).toBe(2);
      expect(await log.redact("p", ["a"], 4)).toBe(0);
      const entries = await log.readAfter("p", 0, 10);
      expect(entries.map(({ from_seq, to_seq }) => [from_seq, to_seq])).toEqual([
        [1, 2],
        [3, 3],
        [4, 5],
        [6, 6],
      ]);
      expect(entries.map(({ changes }) => changes.map(({ seq }) => seq))).toEqual([[2], [], [4, 5], [6]]);
      expect(await log.readRemovals("p", ["a"])).toEqual(newest);
    });

    test("a project whose name is the beginning of another's has its own log", async () => {
      await fill();
      await log.append([entryOf([creation(1, "x", "p.1")], { project_id: "p.1" })]);
      expect(await log.readAfter("p", 0, 10)).toEqual(ENTRIES);
      expect(await log.readHead("p.1")).toMatchObject({ seq: 1 });
      expect(await log.readHead("p.")).toBeUndefined();
    });
  });
}
