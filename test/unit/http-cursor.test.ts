import { describe, expect, test } from "vitest";
import { decodeCursor, encodeCursor } from "../../server/queries/cursor.ts";

const SCOPE = ["sessions", { project_id: "p", status: undefined }] as const;

describe("cursors", () => {
  test("[R11] a cursor leads back to its place, whatever order the filters come in", () => {
    const cursor = encodeCursor(["sessions", { a: 1, b: 2 }], ["2026-11-22T06:00:00.000Z", "p/s1"]);
    expect(cursor).toMatch(/^[\w-]+$/);
    expect(decodeCursor(["sessions", { b: 2, a: 1 }], cursor)).toEqual(["2026-11-22T06:00:00.000Z", "p/s1"]);
  });

  test("[R11] a filter that is not given counts like one that is not there", () => {
    expect(decodeCursor(["sessions", { project_id: "p" }], encodeCursor(SCOPE, [7]))).toEqual([7]);
  });

  test("[R11] a cursor of other filters or another list is refused", () => {
    const cursor = encodeCursor(SCOPE, [7]);
    expect(decodeCursor(["sessions", { project_id: "q" }], cursor)).toBeUndefined();
    expect(decodeCursor(["tasks", { project_id: "p" }], cursor)).toBeUndefined();
  });

  test.each([
    "",
    "x",
    "AAAA",
    "!!!",
    Buffer.from("[").toString("base64url"),
    Buffer.from("{}").toString("base64url"),
    Buffer.from("null").toString("base64url"),
    `${encodeCursor(SCOPE, [7])}=`,
    `${encodeCursor(SCOPE, [7])}A`,
    "A".repeat(5_000),
  ])("[R11] %s is refused", (cursor) => {
    expect(decodeCursor(SCOPE, cursor)).toBeUndefined();
  });
});
