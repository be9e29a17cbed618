import { afterEach, describe, expect, test } from "vitest";
import type { BOUNDS } from "../../server/bounds.ts";
import type { Entry } from "../../server/domain/records.ts";
import { MemoryChangeLog } from "../../server/memory/change-log.ts";
import { MemoryProjections } from "../../server/memory/projections.ts";
import type { AppendOutcome, ChangeLog, Projections } from "../../server/ports.ts";
import type { Edit } from "../../shared/messages/changes-publish.ts";
import { Core } from "../support/core.ts";
import { openOf, publishOf } from "../support/entries.ts";
import { Gate, withMethods } from "../support/scripted.ts";
import { VirtualTime } from "../support/virtual-time.ts";

const proof = { proven_incarnation: 1, showed_token: true };
const idle: Edit = { kind: "session", status: "IDLE" };
const note = (n: number): Edit => ({ kind: "session", metadata: { n } });
const edit = (n: number, sessionId = "s") =>
  ({
    type: "edit",
    session_id: sessionId,
    edits: [note(n)],
    actor: { kind: "operator", id: "o" },
    request_id: `r${n}`,
  }) as const;

/** Hubs on one database in memory, on virtual time. */
class Table {
  readonly time = new VirtualTime();
  readonly log = new MemoryChangeLog();
  readonly documents = new MemoryProjections();
  readonly #cores: Core[] = [];
  #count = 0;

  hub(
    options: {
      readonly changeLog?: (real: ChangeLog) => Partial<ChangeLog>;
      readonly projections?: (real: Projections) => Partial<Projections>;
      readonly bounds?: Partial<{ readonly [K in keyof typeof BOUNDS]: number }>;
    } = {},
  ): Core {
    this.#count += 1;
    const core = new Core({
      hubId: `h${this.#count}`,
      time: this.time,
      changeLog: withMethods<ChangeLog>(this.log, options.changeLog ?? (() => ({}))),
      projections: withMethods<Projections>(this.documents, options.projections ?? (() => ({}))),
      ...(options.bounds === undefined ? {} : { bounds: options.bounds }),
    });
    this.#cores.push(core);
    return core;
  }

  run(play: () => Promise<void>): Promise<void> {
    return this.time.run(
      () => 0.5,
      60_000,
      async () => {
        await play();
        for (const core of this.#cores) core.stop();
      },
    );
  }

  get entries(): readonly Entry[] {
    return this.log.entries("p");
  }

  async session(sessionId = "s") {
    return (await this.documents.readFamilies("p", [sessionId])).get(sessionId)?.session;
  }
}

let table = new Table();
afterEach(() => {
  table = new Table();
});

/** An append that answers the n-th call (from 1) otherwise. */
const answering =
  (call: number, answer: (real: ChangeLog, entries: readonly Entry[]) => Promise<readonly AppendOutcome[]>) =>
  (real: ChangeLog): Partial<ChangeLog> => {
    let calls = 0;
    return {
      append: (entries) => {
        calls += 1;
        return calls === call ? answer(real, entries) : real.append(entries);
      },
    };
  };

describe("an append whose outcome is open", () => {
  test("[D9] [D2] that got through is ours when the identical entry is taken", () =>
    table.run(async () => {
      const hub = table.hub({
        changeLog: answering(2, async (real, entries) => {
          await real.append(entries);
          return ["unknown"];
        }),
      });
      await hub.answer("p", openOf());
      expect(await hub.answer("p", publishOf(1, [idle]))).toMatchObject({ seq: 2, duplicate: false });
      expect(table.entries).toHaveLength(2);
    }));

  test("[D2] is not settled by an entry that is taken but not to be read by majority yet", () =>
    table.run(async () => {
      let isHidden = false;
      const sent: string[] = [];
      const hub = table.hub({
        changeLog: (real) => ({
          append: async (entries) => {
            sent.push(JSON.stringify(entries));
            const outcomes = await real.append(entries);
            if (sent.length !== 2) return outcomes;
            isHidden = true;
            return ["unknown"];
          },
          readHolding: async (projectId, seq) => (isHidden ? undefined : real.readHolding(projectId, seq)),
          readAfter: async (projectId, seq, limit) => (isHidden ? [] : real.readAfter(projectId, seq, limit)),
        }),
      });
      await hub.answer("p", openOf());
      const publish = hub.answer("p", publishOf(1, [idle]));
      await table.time.sleep(100);
      const other = hub.answer("p", edit(7));
      await table.time.sleep(500);
      isHidden = false;
      expect((await publish).seq).toBe(2);
      expect((await other).seq).toBe(3);
      // Nothing else was ever composed for seq 2.
      expect(new Set(sent.filter((text) => text.includes('"from_seq":2'))).size).toBe(1);
    }));

  test("[D10] is never answered OVERLOADED, although an earlier attempt lost a race", () =>
    table.run(async () => {
      const other = table.hub();
      const hub = table.hub({
        bounds: { commitDeadlineMs: 300, commitSweepMs: 20 },
        changeLog: answering(1, async (real, entries) => {
          await other.answer("p", edit(1));
          const outcomes = await real.append(entries);
          return outcomes;
        }),
      });
      await other.answer("p", openOf());
      const writer = hub.submit("p", edit(2));
      expect(await writer).toMatchObject({ ok: true });
      const stuck = table.hub({
        bounds: { commitDeadlineMs: 300, commitSweepMs: 20 },
        changeLog: (real) => {
          let calls = 0;
          return {
            append: async (entries) => {
              calls += 1;
              if (calls === 1) await other.answer("p", edit(3));
              if (calls === 2) return ["unknown"];
              return calls === 1 ? real.append(entries) : new Promise(() => {});
            },
          };
        },
      });
      expect(await stuck.submit("p", edit(4))).toMatchObject({ refusal: { code: "UNAVAILABLE" } });
    }));

  test("[D10] a request that only ever lost races is OVERLOADED, and is not applied later", () =>
    table.run(async () => {
      const other = table.hub();
      await other.answer("p", openOf());
      let n = 100;
      const hub = table.hub({
        bounds: { commitDeadlineMs: 300, commitSweepMs: 20 },
        changeLog: (real) => ({
          append: async (entries) => {
            await other.answer("p", edit(n++));
            const outcomes = await real.append(entries);
            await table.time.sleep(5);
            return outcomes;
          },
        }),
      });
      expect(await hub.submit("p", edit(1))).toMatchObject({
        refusal: { code: expect.stringMatching(/OVERLOADED|UNAVAILABLE/) },
      });
      await table.time.sleep(1_000);
      const requests = table.entries.flatMap(({ changes }) => changes.map((change) => change.request_id));
      expect(requests).not.toContain("r1");
    }));
});

describe("answers without a change", () => {
  test("[D8] [P12] [O12] a hub that fell behind answers from the log, not from what it remembers", () =>
    table.run(async () => {
      const [here, there] = [table.hub(), table.hub()];
      await here.answer("p", openOf());
      await there.answer("p", { ...openOf(), ...proof });
      const original = await there.answer("p", publishOf(5, [{ kind: "task", task_id: "t", title: "t" }, idle]));
      // Back on the first hub, which has heard nothing: on its state of then the publish would be new.
      const back = await here.answer("p", { ...openOf(), ...proof });
      expect(back).toMatchObject({ resumed: true, session: { lastOp: 5 } });
      const again = await here.answer("p", publishOf(5, [idle]));
      expect(again).toMatchObject({ duplicate: true, seq: original.seq });
    }));

  test("[D8] a refusal, too, is one of the log's end", () =>
    table.run(async () => {
      const [here, there] = [table.hub(), table.hub()];
      await here.answer("p", openOf());
      await there.answer("p", publishOf(1, [{ kind: "task", task_id: "t", title: "t", status: "IN_PROGRESS" }]));
      const done: Edit = { kind: "task", task_id: "t", status: "COMPLETED" };
      // Here the task is not known: the refusal would ask for a title.
      expect(await here.answer("p", publishOf(2, [done]))).toMatchObject({ results: [{ version: 2, changed: true }] });
    }));

  test("[D1] what another hub committed and has not projected is projected before it is acked here", () =>
    table.run(async () => {
      const gate = new Gate();
      let isShut = false;
      const dying = table.hub({
        projections: (real) => ({
          write: async (batch) => {
            if (isShut) await gate.passed;
            return real.write(batch);
          },
        }),
      });
      await dying.answer("p", openOf());
      isShut = true;
      void dying.submit("p", publishOf(1, [idle, { kind: "task", task_id: "t", title: "t" }]));
      await table.time.sleep(50);
      expect(table.entries).toHaveLength(2);
      const hub = table.hub();
      expect(await hub.answer("p", publishOf(1, [idle]))).toMatchObject({ duplicate: true, seq: 3 });
      expect((await table.session())?.entity.status).toBe("IDLE");
      expect((await table.documents.readFamilies("p", ["s"])).get("s")?.task("t")).toBeDefined();
      gate.open();
    }));
});

describe("loading", () => {
  test("[D4] sessions that are asked for while they are being loaded are loaded once, and miss nothing", () =>
    table.run(async () => {
      const maker = table.hub();
      for (const id of ["a", "b", "c", "d"]) await maker.answer("p", openOf(id));
      const loading = new Map<string, number>();
      const overlaps: string[] = [];
      const hub = table.hub({
        bounds: { familiesPerLoad: 1 },
        projections: (real) => ({
          readFamilies: async (projectId, ids) => {
            for (const id of ids) {
              if (loading.has(id)) overlaps.push(id);
              loading.set(id, 1);
            }
            const families = await real.readFamilies(projectId, ids);
            await table.time.sleep(10);
            for (const id of ids) loading.delete(id);
            return families;
          },
        }),
      });
      const edits = ["a", "b", "c", "d"].map((id, index) => hub.answer("p", edit(index, id)));
      await table.time.sleep(5);
      const more = ["d", "c", "b", "a"].map((id, index) => hub.answer("p", edit(10 + index, id)));
      await maker.answer("p", edit(20, "d"));
      await Promise.all([...edits, ...more]);
      expect(overlaps).toEqual([]);
      expect(table.entries.at(-1)?.to_seq).toBe(4 + 9);
    }));

  test("sessions that are refused do not fill the memory, and many projects do not starve each other", () =>
    table.run(async () => {
      const hub = table.hub({ bounds: { cachedFamilies: 5 } });
      for (let n = 0; n < 30; n++) expect((await hub.submit("p", edit(n, `none${n}`))).ok).toBe(false);
      expect(hub.projects.known("p")?.familyCount).toBeLessThanOrEqual(5);
      for (let n = 0; n < 12; n++) await hub.answer(`p${n}`, openOf("s", `p${n}`));
      for (let n = 0; n < 12; n++) await hub.answer(`p${n}`, edit(n));
      const cached = [...hub.projects.all()].reduce((sum, project) => sum + project.familyCount, 0);
      expect(cached).toBeLessThanOrEqual(6);
    }));

  test("[D13] requests that wait for a project's head keep their order, also when its first read fails", () =>
    table.run(async () => {
      let fails = 1;
      const hub = table.hub({
        changeLog: (real) => ({
          readHead: async (projectId) => {
            await table.time.sleep(10);
            if (fails-- > 0) throw new Error("away");
            return real.readHead(projectId);
          },
        }),
      });
      const first = hub.answer("p", openOf());
      await table.time.sleep(30);
      const second = hub.answer("p", { ...openOf(), machine_id: "m2" });
      await table.time.sleep(35);
      const third = hub.answer("p", { ...openOf(), machine_id: "m3" });
      expect((await first).created).toBe(true);
      expect((await second).session.entity.incarnation).toBe(2);
      expect((await third).session.entity).toMatchObject({ incarnation: 3, machine_id: "m3" });
    }));
});

describe("following the log", () => {
  test("catchUp sees what was committed before the call, also when a read is under way", () =>
    table.run(async () => {
      const writer = table.hub();
      await writer.answer("p", openOf());
      const gate = new Gate();
      let isShut = false;
      const hub = table.hub({
        changeLog: (real) => ({
          readAfter: async (projectId, seq, limit) => {
            const entries = await real.readAfter(projectId, seq, limit);
            if (isShut) await gate.passed;
            return entries;
          },
        }),
      });
      const project = await hub.projects.get("p");
      isShut = true;
      const early = hub.projects.catchUp(project);
      await table.time.sleep(1);
      await writer.answer("p", edit(1));
      const late = hub.projects.catchUp(project);
      isShut = false;
      gate.open();
      await early;
      await late;
      expect(project.head.seq).toBe(2);
    }));

  test("[D14] a log that begins anew, or was trimmed beyond the head, begins the project anew in its place", () =>
    table.run(async () => {
      const writer = table.hub();
      await writer.answer("p", openOf());
      const hub = table.hub();
      await hub.answer("p", edit(1));
      const project = await hub.projects.get("p");
      for (let n = 2; n < 6; n++) await writer.answer("p", edit(n));
      table.log.remove("p", (entry) => entry.from_seq > 4);
      await hub.projects.catchUp(project);
      expect(hub.projects.known("p")).toBe(project);
      expect(project.head.seq).toBe(6);
      const restored = table.entries.map((entry) => ({ ...entry, epoch: "restored" }));
      table.log.remove("p", () => false);
      await table.log.append(restored);
      await table.log.append([{ ...(restored[0] as Entry), from_seq: 7, to_seq: 7, changes: [] }]);
      await hub.projects.catchUp(project);
      expect(project.head).toMatchObject({ epoch: "restored", seq: 7 });
    }));
});
