import { describe, expect, test } from "vitest";
import { layout, type Space } from "../../cli/watch/layout.ts";
import { paint } from "../../cli/watch/paint.ts";
import { type Connection, documentOf, type Filter, type Picture, select } from "../../cli/watch/picture.ts";
import { type RowSource, rowOf, type WatchRow } from "../../cli/watch/rows.ts";
import { displayWidth, truncate } from "../../cli/watch/text-width.ts";
import { displayState } from "../../shared/display.ts";
import type { Session, Task } from "../../shared/entities.ts";
import type { HeartbeatInfo } from "../../shared/messages/frames.ts";
import { atSecond } from "../support/entries.ts";

const NOW = 3_600;

interface Sketch extends Partial<Session> {
  readonly heartbeat?: Partial<HeartbeatInfo>;
  readonly tasks?: readonly Partial<Task>[];
  readonly isLive?: boolean;
}

function row(session_id: string, { heartbeat, tasks = [], isLive = true, ...over }: Sketch = {}): WatchRow {
  const created_at = over.created_at ?? atSecond(0);
  const session = {
    session_id,
    project_id: "shop",
    status: "ACTIVE",
    liveness: "online",
    machine_id: "m1",
    environment: "production",
    metadata: {},
    incarnation: 1,
    created_at,
    updated_at: created_at,
    version: 1,
    seq: 1,
    ...over,
  } as Session;
  const beat = heartbeat && ({ last_heartbeat_at: atSecond(NOW), ...heartbeat } as HeartbeatInfo);
  const source = { session, heartbeat: beat, tasks: tasks as readonly Task[], isLive };
  return rowOf({ ...source, display: displayState(session, beat) } satisfies RowSource);
}

const asks = (second: number, question: string, options?: string[]): Sketch => ({
  status: "WAITING",
  waiting_for: { kind: "permission", question, since: atSecond(second), ...(options && { options }) },
});
const ended = (second: number, status: "COMPLETED" | "FAILED" | "CANCELLED" = "COMPLETED"): Sketch => ({
  status,
  liveness: "ended",
  ended_at: atSecond(second),
});

/** One of each, from what needs a person to what is over. */
const ONE_OF_EACH: readonly WatchRow[] = [
  row("build-17", asks(3_420, "Deploy version 2.4.1 to production?", ["yes", "no"])),
  row("nightly-3", { liveness: "lost", lost_at: atSecond(2_000), heartbeat: { activity: "uploading" } }),
  row("crawl-9", {
    heartbeat: { last_activity_at: atSecond(1_000), activity: "page 12", progress: 0.4 },
    metadata: { title: "Crawl" },
  }),
  row("e2e-2", { liveness: "stale", heartbeat: { last_heartbeat_at: atSecond(3_580) } }),
  row("e2e-4", {
    created_at: atSecond(5),
    updated_at: atSecond(3_590),
    heartbeat: { last_activity_at: atSecond(NOW), activity: "case 3 of 7", progress: 0.44 },
  }),
  row("e2e-5", { tasks: [{ status: "IN_PROGRESS", title: "Index", progress: 1, seq: 3 }] }),
  row("rest-1", { liveness: "unmonitored", metadata: { title: "Waits for an agent" } }),
  row("old-1", ended(3_000, "FAILED")),
  row("old-2", ended(2_900)),
];

function picture(rows: readonly WatchRow[], over: Partial<Picture> = {}, filter: Partial<Filter> = {}): Picture {
  const at = Date.parse(atSecond(NOW));
  return {
    at,
    url: "http://hub:3000",
    projectId: "shop",
    projects: { followed: 1, known: 1 },
    connection: { state: "live" },
    ...select(rows, { needsMe: false, endedWithinMs: 3_600_000, ...filter }, at),
    ...over,
  };
}

const draw = (of: Picture, space: Partial<Space> = {}) =>
  paint(layout(of, { columns: 80, lines: 24, ...space }), false).join("\n");
const away = (second: number, more = {}): Connection => {
  const since = Date.parse(atSecond(second));
  return { state: "away", since, asOf: since - 2_000, projects: 1, ...more };
};
const asOf = (second: number) => new Date(Date.parse(atSecond(second))).toTimeString().slice(0, 8);

describe("the table", () => {
  test("has what needs a person first, each with what it is about and since when", () => {
    expect(`\n${draw(picture(ONE_OF_EACH.toReversed()))}\n`).toBe(`
State Hub  http://hub:3000  project shop                                  ● live
1 needs you · 1 lost · 1 stalled · 1 stale · 2 working · 1 unmonitored · 1 fail…

STATE        SINCE   SESSION    WHAT
needs you    3 min   build-17   Deploy version 2.4.1 to production? [yes | no]
lost         27 min  nightly-3  its agent is gone (uploading)
stalled      43 min  crawl-9    stands at 40 %  Crawl: page 12
stale        20 s    e2e-2      its agent missed its heartbeats
working      ≥10 s   e2e-4       44 %  case 3 of 7
working      60 min  e2e-5      100 %  Index
unmonitored  60 min  rest-1     Waits for an agent
failed       10 min  old-1      ended as failed
finished     12 min  old-2
`);
  });

  test("on a wide terminal has bars, machines, and projects where there are several", () => {
    const all = { projectId: undefined, projects: { followed: 2, known: 2 } };
    expect(`\n${draw(picture(ONE_OF_EACH.slice(0, 5), all), { columns: 120, hint: "q quit" })}\n`).toBe(`
State Hub  http://hub:3000  2 projects                                                                            ● live
1 needs you · 1 lost · 1 stalled · 1 stale · 1 working

STATE      SINCE   SESSION    PROJECT  MACHINE  WHAT
needs you  3 min   build-17   shop     m1       Deploy version 2.4.1 to production? [yes | no]
lost       27 min  nightly-3  shop     m1       its agent is gone (uploading)
stalled    43 min  crawl-9    shop     m1       stands at 40 %  Crawl: page 12
stale      20 s    e2e-2      shop     m1       its agent missed its heartbeats
working    ≥10 s   e2e-4      shop     m1       ████░░░░  44 %  case 3 of 7
                                                                                                                  q quit
`);
  });

  test("on a small terminal keeps what needs a person, and counts what it leaves out", () => {
    expect(`\n${draw(picture(ONE_OF_EACH), { columns: 44, lines: 9, hint: "q quit" })}\n`).toBe(`
State Hub  http://hub:3000  project…  ● live
1 needs you · 1 lost · 1 stalled · 1 stale …

STATE        SINCE   SESSION    WHAT
needs you    3 min   build-17   permission
                     Deploy version 2.4.1 t…
lost         27 min  nightly-3  its agent i…
stalled      43 min  crawl-9    stands at 4…
… 6 more: 1 stale · 2 working · 1 unmonitor…
`);
  });

  test("never shows what was so as what is so", () => {
    const rows = [row("e2e-4", { isLive: false, heartbeat: { activity: "case 3" } }), row("s", asks(3_000, "Go?"))];
    const cause = "no hub answers at http://hub:3000";
    expect(`\n${draw(picture(rows, { connection: away(3_588, { cause }) }))}\n`).toBe(`
State Hub  http://hub:3000  project s…  ○ not connected for 12 s; as of ${asOf(3_586)}
1 needs you · 1 working
no hub answers at http://hub:3000
STATE      SINCE   SESSION  WHAT
needs you  10 min  s        Go?
working?   60 min  e2e-4    case 3
`);
    const several = { projectId: undefined, projects: { followed: 100, known: 130 }, connection: away(3_600) };
    expect(draw(picture([], several)).split("\n")).toEqual([
      `State Hub  http://hu…  ○ 1 of 100 projects not connected for 0 s; as of ${asOf(3_598)}`,
      "no sessions",
      "",
    ]);
    expect(draw(picture([], { connection: { state: "connecting", cause: "why" } })).split("\n")).toEqual([
      "State Hub  http://hub:3000  project shop                            ◌ connecting",
      "no sessions",
      "why",
    ]);
  });

  test("says how many projects it leaves out", () => {
    const all = { projectId: undefined, projects: { followed: 100, known: 130 } };
    expect(draw(picture([], all))).toContain("  100 of 130 projects  ");
  });

  test("is made of text alone where it goes into a pipe: nothing is cut", () => {
    const long = "Deploy? ".repeat(40).trim();
    const text = draw(picture([row("s", asks(3_000, long))]), {
      columns: Number.POSITIVE_INFINITY,
      lines: Number.POSITIVE_INFINITY,
    });
    expect(text.split("\n")).toEqual([
      "State Hub  http://hub:3000  project shop  ● live",
      "1 needs you",
      "",
      "STATE      SINCE   SESSION  MACHINE  WHAT",
      `needs you  10 min  s        m1       ${long}`,
    ]);
  });

  const evil = "a\u001b[2J\u001b]0;title\u0007b\r\nc\u202ed\u0000 \u009b31m 数据库迁移 👩‍👩‍👧‍👦 é̂";
  test.each(
    [1, 5, 10, 20, 30, 36, 44, 64, 80, 100, 200].flatMap((columns) =>
      [1, 3, 6, 24].map((lines) => ({ columns, lines })),
    ),
  )("fits $columns × $lines, whatever is in it", ({ columns, lines }) => {
    const hard = [
      row("x".repeat(128), { ...asks(0, evil.repeat(20), [evil, evil]), project_id: "y".repeat(128) }),
      row("z", { metadata: { title: evil }, machine_id: "w".repeat(128), heartbeat: { activity: evil, progress: 1 } }),
    ];
    const states: Connection[] = [away(0, { cause: evil }), { state: "live" }, { state: "connecting" }];
    for (const connection of states) {
      const of = picture([...ONE_OF_EACH, ...hard], { connection, projectId: undefined });
      const drawn = paint(layout(of, { columns, lines, hint: "q quit" }), false);
      expect(drawn.length).toBeLessThanOrEqual(lines);
      for (const line of drawn) {
        expect(displayWidth(line)).toBeLessThanOrEqual(columns);
        expect(line).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u);
      }
    }
  });

  test("colours change nothing but colours", () => {
    const lines = layout(picture(ONE_OF_EACH), { columns: 80, lines: 24 });
    const plain = paint(lines, false);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one
    const bare = paint(lines, true).map((line) => line.replaceAll(/\u001b\[\d+m/g, "").trimEnd());
    expect(bare).toEqual(plain);
    expect(paint(lines, true).join("")).toContain("\u001b[1m");
  });
});

describe("the order", () => {
  const idsOf = (rows: readonly WatchRow[], filter: Partial<Filter> = {}) =>
    picture(rows, {}, filter).rows.map(({ session_id }) => session_id);

  test("the longest wait first, the newest work first, the latest end first", () => {
    const rows = [
      row("asks-later", asks(200, "?")),
      row("asks-first", asks(100, "?")),
      row("work-old", { created_at: atSecond(10), updated_at: atSecond(3_000) }),
      row("work-new", { created_at: atSecond(20) }),
      row("end-early", ended(3_000, "FAILED")),
      row("end-late", ended(3_100)),
      row("same-b", { created_at: atSecond(5) }),
      row("same-a", { created_at: atSecond(5) }),
    ];
    const expected = ["asks-first", "asks-later", "work-new", "work-old", "same-a", "same-b", "end-late", "end-early"];
    expect(idsOf(rows)).toEqual(expected);
    expect(idsOf(rows.toReversed())).toEqual(expected);
  });

  test("filters: what needs a person; what ended lately; and counts what is filtered out all the same", () => {
    expect(idsOf(ONE_OF_EACH, { needsMe: true })).toEqual(["build-17", "nightly-3", "crawl-9"]);
    expect(picture(ONE_OF_EACH, {}, { needsMe: true }).counts.get("working")).toBe(2);
    expect(idsOf(ONE_OF_EACH, { endedWithinMs: 650_000 })).not.toContain("old-2");
    expect(idsOf(ONE_OF_EACH, { endedWithinMs: 650_000 })).toContain("old-1");
  });
});

test("what an agent does is what its heartbeats say, else the task in progress that changed last", () => {
  const tasks: Partial<Task>[] = [
    { status: "IN_PROGRESS", title: "newer", seq: 5 },
    { status: "IN_PROGRESS", title: "older", seq: 4, progress: 0.5 },
    { status: "PENDING", title: "pending", seq: 9 },
  ];
  expect(row("s", { tasks })).toMatchObject({ activity: "newer" });
  expect(row("s", { tasks })).not.toHaveProperty("progress");
  expect(row("s", { tasks, heartbeat: { progress: 0.1 } })).toMatchObject({ progress: 0.1 });
  expect(row("s", { tasks, heartbeat: { progress: 0.1 } })).not.toHaveProperty("activity");
});

test("for scripts it is one document", () => {
  const away = { state: "away", since: 0, asOf: 1_000, projects: 1, cause: "gone" } as const;
  const rows = [row("build-17", { ...asks(0, "Go?"), isLive: false })];
  expect(JSON.parse(JSON.stringify(documentOf(picture(rows, { connection: away }))))).toEqual({
    at: atSecond(NOW),
    connection: {
      state: "away",
      since: "1970-01-01T00:00:00.000Z",
      as_of: "1970-01-01T00:00:01.000Z",
      projects: 1,
      cause: "gone",
    },
    projects: { followed: 1, known: 1 },
    sessions: [
      {
        project_id: "shop",
        session_id: "build-17",
        state: "needs you",
        reason: "Go?",
        since: atSecond(0),
        needs_me: true,
        live: false,
        status: "WAITING",
        liveness: "online",
        machine_id: "m1",
        waiting_for: { kind: "permission", question: "Go?", since: atSecond(0) },
      },
    ],
  });
});

test("text is cut by what it takes on a terminal", () => {
  expect(["abc", "数据", "é", "👩‍👩‍👧‍👦", ""].map(displayWidth)).toEqual([3, 4, 1, 2, 0]);
  expect([truncate("abc", 3), truncate("abcd", 3), truncate("数据库", 5), truncate("数据库", 4)]).toEqual([
    "abc",
    "ab…",
    "数据…",
    "数…",
  ]);
  expect([truncate("abc", 1), truncate("abc", 0), truncate("", 0)]).toEqual(["…", "", ""]);
});
