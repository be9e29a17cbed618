import { expect, test } from "vitest";
import type { Entry } from "../../server/domain/records.ts";
import { RecentEntries } from "../../server/writer/recent-entries.ts";
import { creation, entryOf } from "../support/entries.ts";

/** Changes `from` to `to` in one entry. */
function entry(from: number, to = from): Entry {
  return entryOf(Array.from({ length: to - from + 1 }, (_, index) => creation(from + index, `s${from + index}`)));
}

const starts = (entries: readonly Entry[] | undefined) => entries?.map(({ from_seq }) => from_seq);

test("[V10] [V12] what follows a position is given, also from inside an entry", () => {
  const recent = new RecentEntries({ changes: 100, bytes: 1_000 });
  for (const one of [entry(5), entry(6, 8), entry(9)]) recent.push(one, 10);
  expect(starts(recent.after(4, 9))).toEqual([5, 6, 9]);
  expect(starts(recent.after(5, 9))).toEqual([6, 9]);
  expect(starts(recent.after(7, 9))).toEqual([6, 9]);
  expect(starts(recent.after(8, 9))).toEqual([9]);
  expect(recent.after(9, 9)).toEqual([]);
  expect(recent.after(12, 9)).toEqual([]);
});

test("a position before the oldest entry is not at hand: undefined, never a hole", () => {
  const recent = new RecentEntries({ changes: 100, bytes: 1_000 });
  expect(recent.after(0, 3)).toBeUndefined();
  recent.push(entry(5), 10);
  expect(recent.after(3, 5)).toBeUndefined();
  recent.clear();
  expect(recent.after(4, 5)).toBeUndefined();
});

test("the oldest go first, by changes or by bytes, whole entries only", () => {
  const byChanges = new RecentEntries({ changes: 4, bytes: 1_000 });
  for (const one of [entry(1), entry(2, 3), entry(4, 5)]) byChanges.push(one, 1);
  expect(byChanges.after(0, 5)).toBeUndefined();
  expect(starts(byChanges.after(1, 5))).toEqual([2, 4]);
  const byBytes = new RecentEntries({ changes: 100, bytes: 25 });
  for (const one of [entry(1), entry(2), entry(3)]) byBytes.push(one, 10);
  expect(starts(byBytes.after(1, 3))).toEqual([2, 3]);
});

test("an entry beyond the bound leaves nothing at hand, and the next one begins anew", () => {
  const recent = new RecentEntries({ changes: 100, bytes: 25 });
  recent.push(entry(1), 10);
  recent.push(entry(2), 30);
  expect(recent.after(1, 2)).toBeUndefined();
  recent.push(entry(3), 10);
  expect(recent.after(1, 3)).toBeUndefined();
  expect(starts(recent.after(2, 3))).toEqual([3]);
});

test("what comes right before the oldest is added as far as it fits, never with a hole or twice", () => {
  const recent = new RecentEntries({ changes: 6, bytes: 1_000 });
  const add = (entries: readonly Entry[], head: number) => recent.prepend(entries, () => 10, head);
  add([entry(3), entry(4)], 5);
  expect(recent.after(3, 5)).toBeUndefined();
  add([entry(4), entry(5)], 5);
  expect(starts(recent.after(3, 5))).toEqual([4, 5]);
  recent.push(entry(6), 10);
  add([entry(3), entry(4), entry(5)], 6);
  expect(starts(recent.after(2, 6))).toEqual([3, 4, 5, 6]);
  add([entry(1)], 6);
  expect(recent.after(0, 6)).toBeUndefined();
  add([entry(1, 1), entry(2)], 6);
  expect(starts(recent.after(0, 6))).toEqual([1, 2, 3, 4, 5, 6]);
  add([entry(0)], 6);
  recent.push(entry(7), 10);
  expect(recent.after(0, 7)).toBeUndefined();
  expect(starts(recent.after(1, 7))).toEqual([2, 3, 4, 5, 6, 7]);
});
