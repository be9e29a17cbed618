import { expect, test } from "vitest";
import { SlowCalls } from "../../server/mongo/slow-calls.ts";
import { QUIET } from "../support/entries.ts";

test("a slow call is told at once, those of the next ten seconds only in number", () => {
  const lines: object[] = [];
  const slow = new SlowCalls({ ...QUIET, warn: (fields) => lines.push(fields) });
  slow.add("append", 120, 1_000);
  slow.add("append", 130, 1_100);
  slow.add("statesOf", 140, 10_900);
  expect(lines).toEqual([{ method: "append", duration_ms: 120, others_since_last_line: 0 }]);
  slow.add("beat", 150, 11_000);
  expect(lines.slice(1)).toEqual([{ method: "beat", duration_ms: 150, others_since_last_line: 2 }]);
});
