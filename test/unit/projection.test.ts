import { describe, expect, test } from "vitest";
import { MemoryChangeLog } from "../../server/memory/change-log.ts";
import { MemoryProjections } from "../../server/memory/projections.ts";
import type { Projections } from "../../server/ports.ts";
import { repairAll } from "../../server/writer/repair.ts";
import { Core } from "../support/core.ts";
import { openOf } from "../support/entries.ts";
import { withMethods } from "../support/scripted.ts";
import { VirtualTime } from "../support/virtual-time.ts";

const edit = (n: number, sessionId: string) =>
  ({
    type: "edit",
    session_id: sessionId,
    edits: [{ kind: "session", metadata: { n } }],
    actor: { kind: "operator", id: "o" },
    request_id: `r${n}`,
  }) as const;

interface Stage {
  readonly time: VirtualTime;
  readonly log: MemoryChangeLog;
  readonly documents: MemoryProjections;
  hub(replace?: (real: Projections) => Partial<Projections>, bounds?: { projectedRanges?: number }): Core;
}

function play(work: (stage: Stage) => Promise<void>): Promise<void> {
  const time = new VirtualTime();
  const log = new MemoryChangeLog();
  const documents = new MemoryProjections();
  const cores: Core[] = [];
  const hub: Stage["hub"] = (replace = () => ({}), bounds = {}) => {
    const projections = withMethods<Projections>(documents, replace);
    const core = new Core({ hubId: `h${cores.length}`, time, changeLog: log, projections, bounds });
    cores.push(core);
    return core;
  };
  return time.run(
    () => 0.5,
    600_000,
    async () => {
      await work({ time, log, documents, hub });
      for (const core of cores) core.stop();
    },
  );
}

describe("projected_seq", () => {
  test("keeps up, and waits in bounded number, where two hubs take turns on one project", () =>
    play(async ({ time, documents, hub }) => {
      const hubs = [hub(undefined, { projectedRanges: 10 }), hub(undefined, { projectedRanges: 10 })];
      for (const [index, core] of hubs.entries()) await core.answer("p", openOf(`s${index}`));
      let most = 0;
      for (let n = 0; n < 300; n++) {
        await hubs[n % 2]?.answer("p", edit(n, `s${n % 2}`));
        await time.sleep(100);
        most = Math.max(most, ...hubs.map((core) => core.marks.waiting("p")));
      }
      const behind = 302 - ((await documents.readMark("p"))?.projectedSeq ?? 0);
      expect(most).toBeLessThanOrEqual(20);
      // A look every 2 s, a hole of 2 s, ten changes a second.
      expect(behind).toBeLessThan(80);
    }));

  test("a repair where everything is written already writes nothing", () =>
    play(async ({ time, documents, hub }) => {
      let writes = 0;
      const counting = (real: Projections): Partial<Projections> => ({
        write: (batch) => {
          writes += 1;
          return real.write(batch);
        },
        raiseMarks: async () => new Map(),
      });
      const core = hub(counting);
      await core.answer("p", openOf());
      await core.answer("p", edit(1, "s"));
      await time.sleep(50);
      writes = 0;
      expect(
        await repairAll({
          ...core.repair,
          projections: withMethods<Projections>(documents, (real) => ({
            write: (batch) => {
              writes += 1;
              return real.write(batch);
            },
          })),
        }),
      ).toEqual({ projects: 1, changes: 2 });
      expect(writes).toBe(0);
      expect((await documents.readMark("p"))?.projectedSeq).toBe(2);
    }));

  test("a repair beside hubs that go on writing ends at the log's end as it found it", () =>
    play(async ({ time, documents, hub }) => {
      const core = hub((real) => ({ write: real.write.bind(real), raiseMarks: async () => new Map() }));
      await core.answer("p", openOf());
      let passes = 0;
      const projections = withMethods<Projections>(documents, (real) => ({
        readFamilies: async (projectId, sessionIds) => {
          passes += 1;
          if (passes > 5) throw new Error("it runs after the log");
          await core.answer("p", edit(passes, "s"));
          return await real.readFamilies(projectId, sessionIds);
        },
      }));
      await time.sleep(50);
      expect(await repairAll({ ...core.repair, projections })).toEqual({ projects: 1, changes: 1 });
      expect(passes).toBe(1);
    }));

  test("a hole that a dead hub left is closed by whoever follows", () =>
    play(async ({ time, documents, hub }) => {
      const dead = hub(() => ({ write: () => new Promise(() => {}) }));
      void dead.submit("p", openOf());
      await time.sleep(50);
      const alive = hub();
      await alive.projects.get("p");
      await time.sleep(7_000);
      expect((await documents.readMark("p"))?.projectedSeq).toBe(1);
      expect((await documents.readFamilies("p", ["s"])).get("s")?.session).toBeDefined();
    }));

  test("does not rise over documents that a new primary has lost; they are written again", () =>
    play(async ({ time, documents, hub }) => {
      let isLost = false;
      const core = hub((real) => ({
        // What is about to be lost never gets a majority.
        settle: () => (isLost ? new Promise(() => {}) : real.settle()),
      }));
      await core.answer("p", openOf());
      await time.sleep(3_000);
      const saved = documents.save();
      isLost = true;
      for (let n = 1; n <= 5; n++) await core.answer("p", edit(n, "s"));
      await time.sleep(900);
      documents.restore(saved);
      isLost = false;
      core.onPrimaryChange();
      await time.sleep(200);
      expect((await documents.readFamilies("p", ["s"])).get("s")?.session?.entity.version).toBe(6);
      await time.sleep(5_000);
      expect((await documents.readMark("p"))?.projectedSeq).toBe(6);
    }));

  test("a change of the primary is kept in mind until every project is repaired, also those nobody uses here", () =>
    play(async ({ time, documents, hub }) => {
      await hub().answer("q", openOf("s", "q"));
      await time.sleep(3_000);
      let fails = 3;
      const core = hub((real) => ({
        readMark: async (projectId) => {
          if (fails-- > 0) throw new Error("away");
          return real.readMark(projectId);
        },
      }));
      documents.restore(new MemoryProjections().save());
      core.onPrimaryChange();
      await time.sleep(20_000);
      expect(core.projects.known("q")).toBeUndefined();
      expect((await documents.readFamilies("q", ["s"])).get("s")?.session).toBeDefined();
      expect((await documents.readMark("q"))?.projectedSeq).toBe(1);
    }));
});

describe("the projector", () => {
  test("what comes in the very moment a run ends is written too", () =>
    play(async ({ documents, hub }) => {
      const core = hub();
      const { session } = await core.answer("p", openOf());
      const done: number[] = [];
      await new Promise<void>((resolve) => {
        core.projector.project([session], [], () => {
          done.push(1);
          // After the last look of the run at what waits, before anybody hears of its end.
          queueMicrotask(() =>
            core.projector.project([session], [], () => {
              done.push(2);
              resolve();
            }),
          );
        });
      });
      expect(done).toEqual([1, 2]);
      expect(documents.save().sessions.size).toBe(1);
    }));

  test("the newest state wins within a round, whatever the order", () =>
    play(async ({ time, documents, hub }) => {
      const core = hub();
      const { session: first } = await core.answer("p", openOf());
      const { session: second } = await core.answer("p", edit(1, "s"));
      const { session: third } = await core.answer("p", edit(2, "s"));
      documents.restore(new MemoryProjections().save());
      for (const record of [second, third, first]) core.projector.project([record], [], () => {});
      await time.sleep(5);
      expect(documents.save().sessions.get("p/s")).toEqual(third);
    }));
});
