import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { composePatches, mergeEdits } from "../../client/merge-edits.ts";
import { type JsonObject, jsonEqual } from "../../shared/json.ts";
import { mergePatch } from "../../shared/merge-patch.ts";
import type { Edit } from "../../shared/messages/changes-publish.ts";

const key = fc.constantFrom("a", "b", "c");
const shape = { maxDepth: 3, depthSize: "small" } as const;
const { patch, target } = fc.letrec((tie) => ({
  patch: fc.dictionary(
    key,
    fc.oneof(shape, fc.constant(null), fc.integer({ min: 0, max: 2 }), fc.constant([null]), tie("patch")),
    { maxKeys: 3 },
  ),
  target: fc.dictionary(key, fc.oneof(shape, fc.integer({ min: 0, max: 2 }), tie("target")), { maxKeys: 3 }),
})) as { patch: fc.Arbitrary<JsonObject>; target: fc.Arbitrary<JsonObject> };

describe("[M1] composed merge patches", () => {
  test("do to every target what the two did one after the other", () => {
    fc.assert(
      fc.property(target, patch, patch, (before, first, second) => {
        const composed = composePatches(first, second);
        const inOrder = mergePatch(mergePatch(before, first), second);
        return composed === undefined || jsonEqual(mergePatch(before, composed), inOrder);
      }),
      { numRuns: 1_000 },
    );
  });

  test("exist wherever no object takes the place of something that was just put or deleted", () => {
    expect(composePatches({ a: 1, b: { c: 1 } }, { a: null, b: { d: 2 } })).toEqual({ a: null, b: { c: 1, d: 2 } });
    expect(composePatches({ a: null }, { a: { b: 1 } })).toBeUndefined();
    expect(composePatches({ a: 1 }, { a: { b: 1 } })).toBeUndefined();
  });

  test("leave their parts alone", () => {
    const first = { a: { b: 1 } };
    composePatches(first, { a: { c: 2 } });
    expect(first).toEqual({ a: { b: 1 } });
  });
});

const session = (fields: object): Edit => ({ kind: "session", ...fields });
const task = (fields: object): Edit => ({ kind: "task", task_id: "t", ...fields });
const question = { kind: "input", question: "which?" } as const;
const other = { kind: "review", question: "good?" } as const;

const cases: { name: string; first: Edit; second: Edit; merged: Edit | undefined }[] = [
  {
    name: "the later live status of a session wins",
    first: session({ status: "IDLE" }),
    second: session({ status: "ACTIVE" }),
    merged: session({ status: "ACTIVE" }),
  },
  {
    name: "a final status may take a live one with it",
    first: session({ status: "IDLE", metadata: { a: 1 } }),
    second: session({ status: "COMPLETED", metadata: { b: 1 } }),
    merged: session({ status: "COMPLETED", metadata: { a: 1, b: 1 } }),
  },
  {
    name: "nothing follows a final status",
    first: session({ status: "COMPLETED" }),
    second: session({ metadata: { a: 1 } }),
    merged: undefined,
  },
  {
    name: "a question goes when the session no longer waits",
    first: session({ status: "WAITING", waiting_for: question }),
    second: session({ status: "ACTIVE" }),
    merged: session({ status: "ACTIVE" }),
  },
  {
    name: "a new question replaces the former one",
    first: session({ status: "WAITING", waiting_for: question }),
    second: session({ waiting_for: other }),
    merged: session({ status: "WAITING", waiting_for: other }),
  },
  {
    name: "a question stays when something else changes",
    first: session({ status: "WAITING", waiting_for: question }),
    second: session({ metadata: { a: 1 } }),
    merged: session({ status: "WAITING", waiting_for: question, metadata: { a: 1 } }),
  },
  {
    name: "waiting again without a question is the hub's to judge",
    first: session({ status: "WAITING", waiting_for: question }),
    second: session({ status: "WAITING" }),
    merged: undefined,
  },
  {
    name: "a question without a status may be refused, and must not be hidden",
    first: session({ waiting_for: question }),
    second: session({ status: "ACTIVE" }),
    merged: undefined,
  },
  {
    name: "a question after another status is refused, and must not be hidden",
    first: session({ status: "ACTIVE" }),
    second: session({ waiting_for: question }),
    merged: undefined,
  },
  {
    name: "a task's later progress wins",
    first: task({ status: "IN_PROGRESS", progress: 0.1 }),
    second: task({ progress: 0.5 }),
    merged: task({ status: "IN_PROGRESS", progress: 0.5 }),
  },
  {
    name: "two different statuses of a task are two steps",
    first: task({ status: "IN_PROGRESS" }),
    second: task({ status: "COMPLETED" }),
    merged: undefined,
  },
  {
    name: "a task that may be created as PENDING does not skip it",
    first: task({ title: "T" }),
    second: task({ status: "COMPLETED" }),
    merged: undefined,
  },
  {
    name: "a status may join a change that has none",
    first: task({ progress: 0.9 }),
    second: task({ status: "COMPLETED", progress: 1 }),
    merged: task({ status: "COMPLETED", progress: 1 }),
  },
  {
    name: "an ended task is left as it ended",
    first: task({ status: "FAILED" }),
    second: task({ status: "PENDING" }),
    merged: undefined,
  },
  {
    name: "the first expectation holds for both",
    first: task({ progress: 0.1, expected_version: 3 }),
    second: task({ progress: 0.2 }),
    merged: task({ progress: 0.2, expected_version: 3 }),
  },
  {
    name: "a second expectation is about a version that is not there yet",
    first: task({ progress: 0.1 }),
    second: task({ progress: 0.2, expected_version: 4 }),
    merged: undefined,
  },
  {
    name: "metadata that no single patch can express is sent in order",
    first: task({ metadata: { a: null } }),
    second: task({ metadata: { a: { b: 1 } } }),
    merged: undefined,
  },
  {
    name: "different tasks are different entities",
    first: task({}),
    second: { kind: "task", task_id: "u" },
    merged: undefined,
  },
];

describe("client merge of edits", () => {
  test.each(cases)("$name", ({ first, second, merged }) => {
    expect(mergeEdits(first, second)).toEqual(merged);
  });
});
