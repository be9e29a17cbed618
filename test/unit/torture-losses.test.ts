import { expect, test } from "vitest";
import type { LoggedChange } from "../../bench/torture/check-history.ts";
import { lossesIn, type Stay } from "../../bench/torture/check-losses.ts";

const AT = Date.UTC(2026, 0, 1);
const LOST: LoggedChange = {
  ...{ seq: 2, kind: "session", id: "s", session_id: "s", version: 2, actor: { kind: "hub", id: "h" } },
  ...{ type: "liveness", patch: { liveness: "lost" } },
};
const ENTRY = { _id: { p: "p", s: 2 }, to_seq: 2, epoch: "e", at: new Date(AT), changes: [LOST] };

function stay(fromMs: number, toMs: number, session_id = "s"): Stay {
  return { project_id: "p", session_id, fromMs: AT + fromMs, toMs: AT + toMs };
}

test("a session is lost rightly while it is open nowhere", () => {
  const stays = [stay(-500, -100), stay(100, 500), stay(-500, 500, "other")];
  expect(lossesIn([ENTRY], stays)).toEqual([{ session: "p/s", atMs: AT, isWrong: false }]);
});

test("a session is lost wrongly while its agent is there", () => {
  expect(lossesIn([ENTRY], [stay(-500, -100), stay(-50, 500)])).toEqual([{ session: "p/s", atMs: AT, isWrong: true }]);
});

test("other verdicts are none of its business", () => {
  const stale = { ...LOST, patch: { liveness: "stale" } };
  expect(lossesIn([{ ...ENTRY, changes: [stale] }], [stay(-50, 500)])).toEqual([]);
});
