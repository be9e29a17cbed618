import { describe, expect, test } from "vitest";
import type { LogChange } from "../../server/domain/records.ts";
import { addCounts, countsMoved, standingOf } from "../../server/domain/standing.ts";
import { creation, entryOf, openOf, publishOf, Scene } from "../support/entries.ts";

const told = (counts: ReadonlyMap<string, number> | undefined) => counts && Object.fromEntries(counts);

describe("[R51] an entry says how it moves the counts", () => {
  test("over a session's whole life they add up to where it stands", () => {
    const scene = new Scene();
    scene.apply(openOf());
    scene.apply(publishOf(1, [{ kind: "session", status: "WAITING" }]));
    scene.apply(publishOf(2, [{ kind: "session", metadata: { a: 1 } }]));
    scene.apply(publishOf(3, [{ kind: "task", task_id: "t", title: "x" }]));
    scene.apply({ ...openOf(), takeover: true });
    scene.apply(publishOf(1, [{ kind: "session", status: "FAILED" }], { incarnation: 2 }));
    let counts: ReadonlyMap<string, number> = new Map();
    for (const entry of scene.entries) counts = addCounts(counts, countsMoved(entry) ?? new Map());
    const { session } = scene.family;
    expect(told(counts)).toEqual({ [standingOf(session?.entity ?? { status: "ACTIVE", liveness: "lost" })]: 1 });
    expect(told(counts)).toEqual({ "FAILED/ended": 1 });
  });

  test("what does not move a session, or is of an unknown kind, moves nothing", () => {
    const updated = { ...creation(2), type: "updated", state: undefined, patch: { metadata: { a: 1 } } } as LogChange;
    const other = { ...creation(3), kind: "note" } as unknown as LogChange;
    expect(told(countsMoved(entryOf([updated, other])))).toEqual({});
  });

  test("a move that does not say from where is not guessed", () => {
    const move = { ...creation(2), type: "updated", state: undefined } as LogChange;
    expect(countsMoved(entryOf([{ ...move, patch: { status: "IDLE" } } as LogChange]))).toBeUndefined();
    expect(countsMoved(entryOf([{ ...move, patch: { liveness: "lost" } } as LogChange]))).toBeUndefined();
    expect(countsMoved(entryOf([{ ...creation(2), type: "reopened" } as LogChange]))).toBeUndefined();
    const known = { ...move, patch: { status: "IDLE" }, was: "ACTIVE/online" } as LogChange;
    expect(told(countsMoved(entryOf([known])))).toEqual({ "ACTIVE/online": -1, "IDLE/online": 1 });
    expect(told(countsMoved(entryOf([known]), ({ seq }) => seq > 2))).toEqual({});
  });
});
