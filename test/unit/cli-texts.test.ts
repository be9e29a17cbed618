import { expect, test } from "vitest";
import { changeText } from "../../cli/change-text.ts";
import { ago, printable, table } from "../../cli/output.ts";
import { parseDuration, parsePosition } from "../../cli/parse.ts";
import { LastLine } from "../../cli/run/last-line.ts";
import { sessionName } from "../../cli/run/session-name.ts";
import type { MirrorChange } from "../../client/mirror.ts";
import { ID_PATTERN } from "../../shared/ids.ts";

function lastLineOf(...chunks: (string | Buffer)[]): string | undefined {
  const line = new LastLine();
  for (const chunk of chunks) line.push(Buffer.from(chunk));
  return line.text();
}

test.each([
  [["one\n", "two\n"], "two"],
  [["one\ntw", "o"], "two"],
  [["one\n\n  \n"], "one"],
  [["10 %\r20 %\r"], "20 %"],
  [["\u001b[32mgreen\u001b[0m \u0007bell\n"], "green bell"],
  [["x".repeat(100_000), "\nlast\n"], "last"],
  [[Buffer.from("grüß").subarray(0, 3), Buffer.from("grüß").subarray(3)], "grüß"],
  [[""], undefined],
])("last line of %j", (chunks, expected) => {
  expect(lastLineOf(...chunks)).toBe(expected);
});

test("session names are ids, whatever the program is called", () => {
  const now = new Date("2026-11-22T06:30:12.500Z");
  expect(sessionName(["/usr/bin/npm", "test"], "host.example", now)).toMatch(
    /^npm-host\.example-20261122T063012-[0-9a-f]{6}$/,
  );
  for (const program of ["", "-x", "日本", "a b/c d", "x".repeat(300)]) {
    expect(sessionName([program], "h".repeat(300), now)).toMatch(ID_PATTERN);
  }
});

test("durations", () => {
  expect(["500ms", "30s", "2m", "1h", "7d", "7", "0", "1.5s"].map(parseDuration)).toEqual([
    500, 30_000, 120_000, 3_600_000, 604_800_000, 7_000, 0, 1_500,
  ]);
  for (const bad of ["", "s", "1w", "-1", "1 s"]) expect(() => parseDuration(bad)).toThrow();
});

test("positions", () => {
  expect(parsePosition("5b0c9a17e2d4f836:31")).toEqual({ epoch: "5b0c9a17e2d4f836", seq: 31 });
  for (const bad of ["31", ":31", "a:", "a:-1"]) expect(() => parsePosition(bad)).toThrow();
});

test("text from elsewhere stays on its line", () => {
  expect(printable("a\u001b[2Jb\r\nc\u0000d\u009be")).toBe("ab c d e");
});

test("tables align, times read like speech", () => {
  expect(
    table([
      ["a", "b"],
      ["ccc", "d"],
    ]),
  ).toBe("a    b\nccc  d");
  const now = Date.parse("2026-11-22T06:00:00.000Z");
  expect(
    [
      "2026-11-22T05:59:50.000Z",
      "2026-11-22T05:50:00.000Z",
      "2026-11-21T20:00:00.000Z",
      "2026-11-19T06:00:00.000Z",
    ].map((at) => ago(at, now)),
  ).toEqual(["10 s", "10 min", "10 h", "3 d"]);
});

const at = "2026-11-22T07:12:03.123Z";
const common = { seq: 42, at, session_id: "s", version: 3, actor: { kind: "agent", id: "a" } };

test.each([
  [
    { kind: "task", id: "t", type: "updated", patch: { status: "COMPLETED", progress: 1 } },
    { status: "IN_PROGRESS" },
    "07:12:03.123  #42  s/t  IN_PROGRESS → COMPLETED  100 %  by agent a",
  ],
  [
    {
      kind: "session",
      id: "s",
      type: "updated",
      patch: { status: "WAITING", waiting_for: { question: "go\u001b[2J?" } },
    },
    { status: "ACTIVE" },
    '07:12:03.123  #42  s  ACTIVE → WAITING  asks "go\\u001b[2J?"  by agent a',
  ],
  [
    { kind: "session", id: "s", type: "updated", patch: { metadata: { step: 3, old: null } } },
    undefined,
    "07:12:03.123  #42  s  step=3  -old  by agent a",
  ],
  [
    {
      kind: "session",
      id: "s",
      type: "created",
      state: { status: "ACTIVE", machine_id: "m", liveness: "online", metadata: {} },
    },
    undefined,
    "07:12:03.123  #42  s  created  ACTIVE  on m  by agent a",
  ],
])("a change on one line (%#)", (change, before, expected) => {
  expect(changeText({ change: { ...common, ...change }, before, after: undefined } as unknown as MirrorChange)).toBe(
    expected,
  );
});
