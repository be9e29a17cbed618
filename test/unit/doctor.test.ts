import { describe, expect, test } from "vitest";
import { checkInstallation } from "../../server/doctor/check-installation.ts";
import { checkLog } from "../../server/doctor/check-log.ts";
import { checkProjection } from "../../server/doctor/check-projection.ts";
import { compareFamily, type FamilyEvidence } from "../../server/doctor/compare-family.ts";
import type { ServerFacts } from "../../server/doctor/ports.ts";
import { foldChange } from "../../server/domain/fold.ts";
import { Family, type LogChange, type TaskRecord } from "../../server/domain/records.ts";
import type { FanOut, ProjectMark } from "../../server/ports.ts";
import { INSTALLATION_CHECKS, overall } from "../../shared/rest/doctor.ts";
import type { HubView } from "../../shared/rest/operations.ts";
import { AT, atSecond, sampleSession } from "../support/entries.ts";

const agent = { kind: "agent", id: "builder" } as const;
const common = { session_id: "s", actor: agent, incarnation: 1 };

/** A session with a task: created, a publish of both, one of each. */
const CHANGES: readonly LogChange[] = [
  { ...common, seq: 4, kind: "session", id: "s", version: 1, type: "created", state: sampleSession({ seq: 4 }) },
  { ...common, seq: 5, kind: "session", id: "s", version: 2, type: "updated", patch: { status: "IDLE" }, op: 1 },
  {
    ...{ ...common, seq: 6, kind: "task", id: "t", version: 1, type: "created", op: 1 },
    state: {
      ...{ task_id: "t", session_id: "s", project_id: "p", title: "T", status: "PENDING", metadata: {} },
      ...{ created_at: AT, updated_at: AT, version: 1, seq: 6 },
    },
  },
  { ...common, seq: 7, kind: "task", id: "t", version: 2, type: "updated", patch: { status: "IN_PROGRESS" }, op: 2 },
  { ...common, seq: 9, kind: "session", id: "s", version: 3, type: "updated", patch: { metadata: { n: 1 } }, op: 3 },
];

function dated(changes: readonly LogChange[]) {
  return changes.map((change) => ({ change, at: atSecond(change.seq) }));
}

/** Documents as of a seq. */
function familyAt(seq: number): Family {
  const family = new Family();
  for (const { change, at } of dated(CHANGES)) if (change.seq <= seq) foldChange(family, change, at);
  return family;
}

/** All that was found, gaps first. */
function compare(over: Partial<FamilyEvidence> = {}): string[] {
  const whole = { projectedSeq: 9, documents: familyAt(9), changes: dated(CHANGES), isWhole: true, base: new Family() };
  const { gaps, differences } = compareFamily({ ...whole, ...over });
  return [...gaps, ...differences];
}

function withTask(family: Family, over: Partial<TaskRecord> & { readonly version?: number }): Family {
  const { version, ...record } = over;
  const task = family.task("t") as TaskRecord;
  family.tasks.set("t", { ...task, ...record, entity: { ...task.entity, ...(version && { version }) } });
  return family;
}

describe("[R83] a family is what the log makes of it", () => {
  test("at the head, behind the head as far as the mark allows, and after a trim", () => {
    expect(compare()).toEqual([]);
    for (const seq of [4, 5, 6, 7]) expect(compare({ documents: familyAt(seq), projectedSeq: seq })).toEqual([]);
    // The document may be newer than the mark that was read before it, and older than the log that was read after it.
    expect(compare({ documents: familyAt(6), projectedSeq: 4 })).toEqual([]);
    for (const seq of [4, 6, 7]) {
      expect(compare({ base: familyAt(seq), changes: dated(CHANGES.filter((change) => change.seq > seq)) })).toEqual(
        [],
      );
    }
    expect(compare({ base: familyAt(9), changes: [] })).toEqual([]);
    // A trim that was broken off has a base ahead of the log's beginning.
    expect(compare({ base: familyAt(6) })).toEqual([]);
  });

  test("with the newest changes alone versions are compared", () => {
    const changes = dated(CHANGES.slice(3));
    expect(compare({ isWhole: false, changes })).toEqual([]);
    const documents = withTask(familyAt(9), { version: 5 });
    expect(compare({ isWhole: false, changes, documents })).toEqual(["task t is at version 5, the log at 2"]);
  });

  test("a document that is behind, ahead, missing, or nobody's", () => {
    expect(compare({ documents: familyAt(5) })).toEqual([
      "the session lacks change 6, its document ends at 5",
      "task t has no document",
    ]);
    expect(compare({ documents: withTask(familyAt(9), { appliedSeq: 12 }) })).toEqual([
      "task t holds change 12, which the log does not have",
    ]);
    const session = familyAt(9).session;
    const odd = withTask(familyAt(9), { appliedSeq: 6 });
    expect(compare({ documents: odd, projectedSeq: 6 })).toEqual([
      "task t is not what the log says: edit_version, seq, status, updated_at, version",
    ]);
    const alone = new Family();
    alone.session = session;
    expect(compare({ documents: alone, changes: [] })).toEqual(["the session is neither in the log nor in the base"]);
  });

  test("fields that differ are named, also those that only hubs see", () => {
    const documents = familyAt(9);
    if (documents.session === undefined) throw new Error("there is a session");
    const { entity } = documents.session;
    documents.session = { ...documents.session, lastOp: 2, entity: { ...entity, metadata: { n: 2 } } };
    expect(compare({ documents })).toEqual(["the session is not what the log says: last_op, metadata"]);
  });

  test("a session that was forgotten: what was before it says nothing, what is left of it is found", () => {
    const removed: LogChange = { ...common, seq: 11, kind: "session", id: "s", version: 4, type: "removed", patch: {} };
    const gone = { documents: new Family(), projectedSeq: 11 };
    expect(compare({ ...gone, changes: dated([...CHANGES, removed]) })).toEqual([]);
    // Its traces leave the log, one after the other, and the base.
    expect(compare({ ...gone, changes: dated([...CHANGES.slice(3), removed]) })).toEqual([]);
    expect(compare({ ...gone, changes: dated([removed]), base: familyAt(6) })).toEqual([]);
    expect(compare({ changes: dated([removed]) })).toEqual([]);
    expect(compare({ changes: dated([removed]), projectedSeq: 11 })).toEqual([
      "the session lacks change 11, its document ends at 9",
      "task t lacks change 11, its document ends at 7",
    ]);
  });

  test("a change that cannot follow what is before it", () => {
    const changes = dated(CHANGES.filter(({ seq }) => seq !== 5));
    expect(compare({ changes })[0]).toBe("change 9 of the session has version 3 after 1");
    expect(compare({ changes: dated(CHANGES.slice(3)) })).toContain(
      "change 7 of task t has nothing before it, neither in the log nor in the base",
    );
  });
});

describe("[R83] the log and its projection", () => {
  const mark =
    (over: Partial<ProjectMark> = {}) =>
    async () => ({ epoch: "e", projectedSeq: 9, logStart: 1, forgotten: 0, ...over });
  const project = (seq: number, readMark: () => Promise<ProjectMark | undefined>, waitedMs = 0) =>
    checkProjection("p", {
      projections: { readMark },
      changeLog: {
        readHead: async () => (seq === 0 ? undefined : { epoch: "e", seq, at: AT }),
        readAfter: async () => [{ at: AT } as never],
      },
      clock: { now: () => Date.parse(AT) + waitedMs },
      bounds: { doctorBehindMs: 10_000 },
    });

  test("behind for longer than hubs need is wrong, and so is ahead", async () => {
    expect(await project(9, mark())).toMatchObject({ ok: true });
    expect(await project(0, async () => undefined)).toMatchObject({ ok: true });
    expect(await project(12, mark(), 10_000)).toMatchObject({
      ok: true,
      detail: expect.stringMatching(/on its way$/),
    });
    expect(await project(12, mark(), 10_001)).toMatchObject({ ok: false, detail: expect.stringMatching(/10 s old$/) });
    expect(await project(12, async () => undefined, 20_000)).toMatchObject({ ok: false });
    expect(await project(8, mark())).toMatchObject({ ok: false });
  });

  const look = (spans: readonly (readonly [number, number])[], logStart = 1, isOver = () => false) =>
    checkLog(
      "p",
      {
        projections: { readMark: mark({ logStart, projectedSeq: 9 }) },
        inspection: {
          readOutlinesBack: async (_id, before = Number.POSITIVE_INFINITY, limit) =>
            spans
              .filter(([from]) => from < before)
              .toReversed()
              .slice(0, limit)
              .map(([from_seq, to_seq]) => ({ from_seq, to_seq, epoch: "e" })),
        },
        bounds: { entriesPerRead: 2, doctorEntries: 5 },
      },
      isOver,
    );

  test("holes and overlaps are found across reads; what a trim has not removed yet is none of them", async () => {
    expect(await look([[1, 2], [3, 3], [4, 8], [9, 9]])).toMatchObject({ ok: true }); // biome-ignore format: one row
    expect(await look([[1, 1], [3, 3], [4, 8], [9, 9]])).toMatchObject({ detail: "change 2 is missing" }); // biome-ignore format: one row
    expect(await look([[1, 3], [3, 3], [4, 9]])).toMatchObject({ detail: "entries 1 and 3 overlap" }); // biome-ignore format: one row
    expect(await look([[1, 1], [4, 8], [9, 9]], 4)).toMatchObject({ ok: true }); // biome-ignore format: one row
    expect(await look([[5, 8], [9, 9]], 4)).toMatchObject({ detail: "change 4 is missing" }); // biome-ignore format: one row
    expect(await look([])).toMatchObject({ ok: false });
  });

  test("it looks at so many, and says how far it came", async () => {
    const spans = Array.from({ length: 20 }, (_, index) => [index + 1, index + 1] as const);
    expect(await look(spans)).toMatchObject({ detail: "6 entries without a hole, back to change 15" });
    expect(await look(spans, 1, () => true)).not.toHaveProperty("ok");
  });
});

describe("[R82] the installation", () => {
  const SET: ServerFacts = { version: "7.0.5", kind: "replica set", members: 3, arbiters: 0, majorityLagMs: 12 };
  const alive = (hub_id: string): HubView => ({ hub_id, self: hub_id === "a", state: "alive" });

  interface Given {
    readonly server?: Partial<ServerFacts>;
    readonly pingMs?: number;
    readonly isAway?: true;
    readonly missing?: readonly string[];
    readonly offsetMs?: number;
    readonly fanOut?: FanOut["state"];
    readonly hubs?: readonly HubView[];
  }

  /** What is not plainly fine, by check: `wrong`, `advice` or `untold`. */
  async function findings({ server, pingMs = 1, isAway, missing = [], offsetMs = 3, fanOut, hubs }: Given) {
    const checks = await checkInstallation({
      inspection: { readServer: async () => ({ ...SET, ...server }), findMissingIndexes: async () => [...missing] },
      health: { ping: async () => (isAway ? undefined : pingMs), clockOffset: async () => offsetMs },
      fanOut: { state: fanOut ?? { mode: "off" }, trouble: undefined },
      listHubs: async () => hubs ?? [alive("a")],
    });
    expect(checks.map(({ name }) => name)).toEqual(INSTALLATION_CHECKS);
    return Object.fromEntries(
      checks.flatMap(({ name, ok, what_to_do }) => {
        expect(what_to_do ?? `docs/DOCTOR.md, ${name}`).toContain(`docs/DOCTOR.md, ${name}`);
        if (ok && what_to_do === undefined) return [];
        return [[name, ok === undefined ? "untold" : ok ? "advice" : "wrong"]];
      }),
    );
  }

  test.each<[what: string, given: Given, found: object]>([
    ["as it should be", {}, {}],
    ["an old MongoDB", { server: { version: "5.0.9" } }, { mongodb: "wrong" }],
    ["a slow one", { pingMs: 80 }, { mongodb: "advice" }],
    [
      "a standalone",
      { server: { kind: "standalone", members: 0, majorityLagMs: undefined } },
      { replica_set: "advice" },
    ],
    ["one member", { server: { members: 1 } }, { replica_set: "advice" }],
    ["an arbiter", { server: { members: 2, arbiters: 1 } }, { replica_set: "advice" }],
    ["a majority that does not follow", { server: { majorityLagMs: 9_000 } }, { write_concern: "wrong" }],
    ["no index", { missing: ['log {"a":1}'] }, { indexes: "wrong" }],
    ["Redis away", { fanOut: { mode: "degraded", reason: "no echo" } }, { redis: "wrong" }],
    ["two hubs without Redis", { hubs: [alive("a"), alive("b")] }, { redis: "advice" }],
    ["another clock", { offsetMs: -1_500 }, { clock: "advice" }],
    ["a dead hub", { hubs: [alive("a"), { ...alive("b"), state: "dead" }] }, { hubs: "advice" }],
    [
      "no MongoDB",
      { isAway: true },
      {
        ...{ mongodb: "wrong", replica_set: "untold", write_concern: "untold" },
        ...{ indexes: "untold", clock: "untold", hubs: "untold" },
      },
    ],
  ])("%s", async (_what, given, found) => {
    expect(await findings(given)).toEqual(found);
  });

  test("of checks together: wrong if one is, fine if all are, else untold", () => {
    const check = (ok?: boolean) => ({ name: "log", detail: "", ...(ok === undefined ? {} : { ok }) }) as const;
    expect(overall([check(true), check(true)])).toEqual({ ok: true });
    expect(overall([check(true), check()])).toEqual({});
    expect(overall([check(), check(false)])).toEqual({ ok: false });
  });
});
