import { expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import { Turns } from "../../server/writer/turns.ts";

const bounds = { ...BOUNDS, turnMs: 10, turnHubs: 3 } as unknown as typeof BOUNDS;

/** Turns after these hubs have appended, one each millisecond from 1. */
function after(...hubs: string[]): Turns {
  const turns = new Turns(bounds);
  for (const [index, hub] of hubs.entries()) turns.pass(hub, index + 1);
  return turns;
}

const waits = (turns: Turns, now: number, ...hubs: string[]) => hubs.map((hub) => turns.of(hub) - now);

test("[D21] a hub that writes a project alone never waits", () => {
  expect(waits(after("a", "a", "a"), 3, "a")).toEqual([0]);
});

test("[D21] who appended longest ago is next, the last one waits for all others", () => {
  expect(waits(after("a", "b", "c"), 3, "a", "b", "c")).toEqual([0, 10, 20]);
  expect(waits(after("a", "b", "c", "a"), 4, "b", "c", "a")).toEqual([0, 10, 20]);
});

test("[D21] a hub that has not appended lately goes at once", () => {
  expect(waits(after("a", "b"), 2, "new")).toEqual([0]);
});

test("[D21] whoever lets its turn pass is not waited for again, until it appends", () => {
  const turns = after("a", "b", "c", "b");
  expect(waits(turns, 4, "c", "b", "a")).toEqual([0, 10, 0]);
  turns.pass("a", 5);
  expect(waits(turns, 5, "c", "b", "a")).toEqual([0, 10, 20]);
});

test("[D21] only so many hubs are waited for", () => {
  expect(waits(after("a", "b", "c", "d", "e"), 5, "e")).toEqual([20]);
});
