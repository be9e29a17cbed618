import { describe, expect, test } from "vitest";
import type { Entry, Head } from "../../server/domain/records.ts";
import { missedSince, prepareJoin } from "../../server/following/join.ts";
import { cutPages } from "../../server/following/snapshot-pages.ts";
import { MemoryChangeLog } from "../../server/memory/change-log.ts";
import { MemoryProjections } from "../../server/memory/projections.ts";
import type { Session, Task } from "../../shared/entities.ts";
import type { JoinedWithSnapshot } from "../../shared/messages/project-join.ts";
import type { SnapshotPage } from "../../shared/messages/project-snapshot.ts";
import { Core } from "../support/core.ts";
import { creation, entryOf, openOf, publishOf } from "../support/entries.ts";
import { VirtualTime } from "../support/virtual-time.ts";

function play(
  work: (hub: Core, time: VirtualTime, log: MemoryChangeLog) => Promise<void>,
  projections = new MemoryProjections(),
): Promise<void> {
  const time = new VirtualTime();
  const log = new MemoryChangeLog();
  const hub = new Core({
    hubId: "h1",
    time,
    changeLog: log,
    projections,
    bounds: { recentChanges: 4, entriesPerRead: 2, snapshotTtlMs: 1_000, snapshotEntitiesCached: 9 },
    limits: { snapshot_page: 2, replay_changes: 8 },
  });
  return time.run(
    () => 0.5,
    60_000,
    async () => {
      await work(hub, time, log);
      hub.stop();
    },
  );
}

/** Session s with tasks t1 to t4: changes 1 to 5, in two entries. */
async function fill(hub: Core): Promise<void> {
  await hub.answer("p", openOf());
  const tasks = ["t1", "t2", "t3", "t4"].map((id) => ({ kind: "task", task_id: id, title: id }) as const);
  await hub.answer("p", publishOf(1, tasks));
}

describe("the pages of a snapshot", () => {
  test("[V6] [V8] hold each entity once, at one seq, whatever happens meanwhile", () =>
    play(async (hub) => {
      await fill(hub);
      const project = await hub.projects.get("p");
      let page = await hub.snapshots.first(project);
      const ids: string[] = [];
      for (;;) {
        expect(page.seq).toBe(5);
        ids.push(...page.sessions.map((session) => session.session_id), ...page.tasks.map((task) => task.task_id));
        if (page.next_cursor === undefined) break;
        await hub.answer("p", publishOf(ids.length, [{ kind: "session", metadata: { at: ids.length } }]));
        page = hub.snapshots.next("p", page.next_cursor) as typeof page;
      }
      expect(ids).toEqual(["s", "t1", "t2", "t3", "t4"]);
    }));

  test("[V7] a cursor that was never given is malformed, one whose snapshot is over is gone", () =>
    play(async (hub, time) => {
      await fill(hub);
      const { next_cursor: cursor = "" } = await hub.snapshots.first(await hub.projects.get("p"));
      const id = cursor.split(".")[0];
      for (const forged of ["", "x", `${id}`, `${id}.0`, `${id}.1`, `${id}.6`, `${id}.-2`, `${id}.2x`]) {
        expect(hub.snapshots.next("p", forged), forged).toBe("malformed");
      }
      expect(hub.snapshots.next("q", cursor)).toBe("malformed");
      expect(hub.snapshots.next("p", `${id}.4`)).toMatchObject({ tasks: [{ task_id: "t4" }] });
      await time.sleep(1_001);
      expect(hub.snapshots.next("p", cursor)).toBe("gone");
    }));

  test("[R74] [V7] pages of a former epoch are gone: a session of theirs may be forgotten", () =>
    play(async (hub) => {
      await fill(hub);
      await hub.answer("q", openOf("s", "q"));
      const tasks = ["t1", "t2"].map((id) => ({ kind: "task", task_id: id, title: id }) as const);
      await hub.answer("q", publishOf(1, tasks));
      const cursorOf = async (id: string) => (await hub.snapshots.first(await hub.projects.get(id))).next_cursor ?? "";
      const [ofP, ofQ] = [await cursorOf("p"), await cursorOf("q")];
      const { id, head } = await hub.projects.get("p");
      hub.snapshots.forgetBefore({ id, head });
      expect(hub.snapshots.next("p", ofP)).toMatchObject({ tasks: [{ task_id: "t2" }, { task_id: "t3" }] });
      hub.snapshots.forgetBefore({ id, head: { ...head, epoch: "of the purge" } });
      expect(hub.snapshots.next("p", ofP)).toBe("gone");
      expect(hub.snapshots.next("q", ofQ)).toMatchObject({ tasks: [{ task_id: "t2" }] });
    }));
});

describe("a snapshot", () => {
  const entities = (sizes: readonly number[]) =>
    sizes.map((size) => ({ metadata: "x".repeat(size) }) as unknown as Session);

  test("[V6] is cut by number and by size, and an entity larger than a page has one of its own", async () => {
    const bounds = { entities: 3, bytes: 1_000, slice: 2 };
    const starts = (sessions: readonly number[], tasks: readonly number[] = []) =>
      cutPages({ sessions: entities(sessions), tasks: entities(tasks) as unknown as Task[] }, bounds);
    expect(await starts([])).toEqual([0]);
    expect(await starts([1, 1, 1])).toEqual([0]);
    expect(await starts([1, 1, 1, 1], [1, 1, 1])).toEqual([0, 3, 6]);
    expect(await starts([600, 600, 100])).toEqual([0, 1]);
    expect(await starts([2_000, 1, 1, 2_000], [1])).toEqual([0, 1, 3, 4]);
  });

  test("[V6] lets others go on while its pages are cut", async () => {
    let turns = 0;
    const count = setInterval(() => {
      turns += 1;
    });
    const sessions = entities(Array.from({ length: 20_000 }, () => 2_000));
    await cutPages({ sessions, tasks: [] }, { entities: 500, bytes: 1_000_000, slice: 500 });
    clearInterval(count);
    expect(turns).toBeGreaterThan(5);
  });

  test("is built once for all who ask at one head, and once more for all who ask after further changes", async () => {
    let builds = 0;
    class Counted extends MemoryProjections {
      override async readWindow(projectId: string, endedSince: string) {
        builds += 1;
        return super.readWindow(projectId, endedSince);
      }
    }
    await play(async (hub) => {
      await fill(hub);
      const project = await hub.projects.get("p");
      const first = Array.from({ length: 5 }, () => hub.snapshots.first(project));
      const later: Promise<SnapshotPage>[] = [];
      for (let op = 2; op <= 6; op++) {
        hub.projects.apply(project, entryAfter(project.head), 100);
        later.push(hub.snapshots.first(project));
      }
      expect(new Set((await Promise.all(first)).map((page) => page.seq)).size).toBe(1);
      await Promise.all(later);
      expect(builds).toBe(2);
    }, new Counted());
  });

  test("is dropped, oldest first, when the kept ones hold too many entities", () =>
    play(async (hub) => {
      await fill(hub);
      const project = await hub.projects.get("p");
      const { next_cursor: first = "" } = await hub.snapshots.first(project);
      await hub.answer("p", publishOf(2, [{ kind: "session", metadata: { n: 2 } }]));
      const { next_cursor: second = "" } = await hub.snapshots.first(project);
      expect(hub.snapshots.next("p", first)).toBe("gone");
      expect(hub.snapshots.next("p", second)).toMatchObject({ seq: 6 });
    }));
});

/** What follows a head, with a change of nothing that anybody holds. */
function entryAfter({ seq, epoch }: Head): Entry {
  return entryOf([creation(seq + 1, `other-${seq}`)], { from_seq: seq + 1, to_seq: seq + 1, epoch });
}

describe("a join", () => {
  const join = (hub: Core, since?: { epoch: string; seq: number }) => prepareJoin("p", since, hub.following);

  test("[V13] of a project without changes creates nothing", () =>
    play(async (hub, _time, log) => {
      const { answer } = await join(hub);
      expect(answer).toMatchObject({ mode: "snapshot", reason: "first", epoch: "", seq: 0, sessions: [], tasks: [] });
      expect(log.entries("p")).toEqual([]);
    }));

  test("[V5] [V10] [V11] [V12] is a replay where the position can be continued, else says why not", () =>
    play(async (hub, _time, log) => {
      await fill(hub);
      const epoch = log.entries("p")[0]?.epoch ?? "";
      const at = async (seq: number, of = epoch) => {
        const { answer } = await join(hub, { epoch: of, seq });
        return answer.mode === "snapshot" ? answer.reason : answer.changes.map((change) => change.seq);
      };
      expect(await at(5)).toEqual([]);
      expect(await at(3)).toEqual([4, 5]);
      expect(await at(0)).toEqual([1, 2, 3, 4, 5]);
      expect(await at(6)).toBe("epoch");
      expect(await at(0, "")).toBe("epoch");
      expect(await at(3, "other")).toBe("epoch");
      for (let op = 2; op <= 5; op++) {
        await hub.answer("p", publishOf(op, [{ kind: "session", metadata: { op } }]));
      }
      expect(await at(1)).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
      expect(await at(0)).toBe("too_far");
    }));

  test("[V5] is expired where the log no longer reaches back", () =>
    play(async (hub, _time, log) => {
      await fill(hub);
      for (let op = 2; op <= 6; op++) {
        await hub.answer("p", publishOf(op, [{ kind: "session", metadata: { op } }]));
      }
      const { epoch = "" } = log.entries("p")[0] ?? {};
      // What is not in the documents yet is never trimmed.
      await hub.marks.raise();
      log.remove("p", (entry) => entry.from_seq >= 6);
      expect((await join(hub, { epoch, seq: 4 })).answer).toMatchObject({ mode: "snapshot", reason: "expired" });
    }));

  test("[V14] what is committed before the room is entered follows the answer without a hole", () =>
    play(async (hub) => {
      await fill(hub);
      const prepared = await join(hub);
      await hub.answer("p", publishOf(2, [{ kind: "session", status: "IDLE" }]));
      expect((prepared.answer as JoinedWithSnapshot).seq).toBe(5);
      expect(missedSince(prepared)?.map((entry) => entry.from_seq)).toEqual([6]);
    }));
});
