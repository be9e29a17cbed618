import { describe, expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import type { Entry } from "../../server/domain/records.ts";
import { prepareJoin } from "../../server/following/join.ts";
import type { AppendOutcome, ChangeLog, Projections } from "../../server/ports.ts";
import { type TrimPorts, trimStep } from "../../server/retention/trim.ts";
import { countTrimmable } from "../../server/retention/trim-rule.ts";
import { checkPast } from "../model/checks.ts";
import { WholeLog } from "../model/whole-log.ts";
import type { Core } from "../support/core.ts";
import { CoreScene, HOUR_MS } from "../support/core-scene.ts";
import { atSecond, openOf, publishOf } from "../support/entries.ts";
import { Gate, withMethods } from "../support/scripted.ts";

describe("what may be trimmed", () => {
  const entries = [1, 2, 3, 4].map((seq) => ({ to_seq: seq * 10, at: atSecond(seq) }));
  const terms = {
    youngest: atSecond(100),
    olderThan: undefined,
    keptChanges: undefined,
    headSeq: 1_000,
    projectedSeq: 1_000,
  };

  test.each([
    ["nothing without a reason", {}, 0],
    ["what is older than the given time", { olderThan: atSecond(3) }, 2],
    ["all, when all is older", { olderThan: atSecond(99) }, 4],
    ["whole entries beyond the number that is kept", { headSeq: 45, keptChanges: 20 }, 2],
    ["whatever gives a reason", { headSeq: 45, keptChanges: 20, olderThan: atSecond(4) }, 3],
    ["never what is young", { olderThan: atSecond(99), youngest: atSecond(2) }, 1],
    ["never the last entry", { olderThan: atSecond(99), headSeq: 40 }, 3],
    ["never what is not in the documents yet", { olderThan: atSecond(99), projectedSeq: 25 }, 2],
  ])("[D23] %s", (_title, over, count) => {
    expect(countTrimmable(entries, { ...terms, ...over })).toBe(count);
  });
});

/** A project with a history, an hour old, and hubs on it. */
class Scene extends CoreScene<WholeLog> {
  get ports(): TrimPorts {
    const { changeLog, projections, base } = this;
    return { changeLog, projections, base, bounds: { ...BOUNDS, trimChanges: 4 } };
  }

  /** Two sessions, and so many changes of each or its task; everything projected. */
  async history(hub: Core, publishes = 4): Promise<void> {
    await hub.answer("p", openOf("s"));
    await hub.answer("p", openOf("s2"));
    for (let op = 1; op <= publishes; op++) {
      await hub.answer("p", publishOf(op, [{ kind: "session", metadata: { op } }]));
      await hub.answer("p", publishOf(op, [{ kind: "task", task_id: "t", title: `${op}` }], { session_id: "s2" }));
    }
    await this.time.sleep(2_000);
  }

  trim(ports = this.ports) {
    const youngest = new Date(this.time.now() - HOUR_MS).toISOString();
    return trimStep("p", { youngest, olderThan: youngest, keptChanges: undefined }, ports);
  }

  async trimAll(): Promise<void> {
    while (!(await this.trim()).isDone);
  }

  get whole(): readonly Entry[] {
    return this.changeLog.whole("p");
  }

  async logStart(): Promise<number | undefined> {
    return (await this.projections.readMark("p"))?.logStart;
  }
}

const play = (work: (scene: Scene) => Promise<void>) => new Scene(new WholeLog()).run(work);

describe("trimming", () => {
  test("[D22] leaves the last entry, and base and log are the whole history", () =>
    play(async (scene) => {
      await scene.history(scene.hub());
      scene.time.block(2 * HOUR_MS);
      await scene.trimAll();
      expect(scene.changeLog.entries("p")).toEqual(scene.whole.slice(-1));
      expect(await scene.logStart()).toBe(10);
      await checkPast("p", scene.whole, scene);
    }));

  test("[D22] of a log whose oldest entry stays nothing else is read", () =>
    play(async (scene) => {
      await scene.history(scene.hub());
      scene.time.block(2 * HOUR_MS);
      let ranges = 0;
      const changeLog = withMethods<ChangeLog>(scene.changeLog, (real) => ({
        readRange: (...range) => {
          ranges += 1;
          return real.readRange(...range);
        },
      }));
      const youngest = new Date(scene.time.now() - HOUR_MS).toISOString();
      const step = (terms: { olderThan?: string; keptChanges?: number }) =>
        trimStep(
          "p",
          { youngest, olderThan: undefined, keptChanges: undefined, ...terms },
          { ...scene.ports, changeLog },
        );
      const longAgo = new Date(scene.time.now() - 3 * HOUR_MS).toISOString();
      expect(await step({ olderThan: longAgo, keptChanges: 10 })).toEqual({ trimmed: 0, isDone: true });
      expect(ranges).toBe(0);
      expect((await step({ olderThan: longAgo, keptChanges: 8 })).trimmed).toBe(2);
      expect(ranges).toBe(1);
    }));

  test("[D22] [D23] a crash at any step is harmless: the next pass finishes, nothing is lost", () =>
    play(async (scene) => {
      const calls = ["readFamilies", "write", "raiseLogStart", "deleteBefore"] as const;
      await scene.history(scene.hub(), 10);
      scene.time.block(2 * HOUR_MS);
      for (const call of calls) {
        for (const isDone of [false, true]) {
          const crash = <P extends object>(port: P): P =>
            withMethods(port, (real) => {
              const method = (real as Record<string, (...args: unknown[]) => Promise<unknown>>)[call];
              if (method === undefined) return {};
              const crashing = async (...args: unknown[]) => {
                if (isDone) await method.apply(real, args);
                throw new Error("crash");
              };
              return { [call]: crashing } as Partial<P>;
            });
          const { changeLog, projections, base, bounds } = scene.ports;
          const one = { ...bounds, trimChanges: 1 };
          const ports = {
            changeLog: crash(changeLog),
            projections: crash(projections),
            base: crash(base),
            bounds: one,
          };
          await expect(scene.trim(ports)).rejects.toThrow("crash");
          await checkPast("p", scene.whole, scene);
          const after = await scene.trim({ ...scene.ports, bounds: one });
          expect(after.trimmed).toBeLessThanOrEqual(1);
          await checkPast("p", scene.whole, scene);
        }
      }
      expect(scene.changeLog.entries("p")[0]?.from_seq).toBe(await scene.logStart());
    }));

  test("[D24] two hubs at once: the slower one changes nothing that the faster one has done", () =>
    play(async (scene) => {
      await scene.history(scene.hub());
      scene.time.block(2 * HOUR_MS);
      for (const call of ["readFamilies", "write"] as const) {
        const gate = new Gate();
        const base = withMethods(scene.base, (real) => ({
          [call]: async (...args: never[]) => {
            if (call === "readFamilies") {
              const found = await real.readFamilies(...(args as unknown as Parameters<typeof real.readFamilies>));
              await gate.passed;
              return found;
            }
            await gate.passed;
            return real.write(...(args as unknown as Parameters<typeof real.write>));
          },
        }));
        const slow = scene.trim({ ...scene.ports, base });
        await scene.time.sleep(1);
        await scene.trim();
        await scene.trim({ ...scene.ports, bounds: { ...BOUNDS, trimChanges: 1 } });
        const logStart = await scene.logStart();
        gate.open();
        await slow;
        expect(await scene.logStart()).toBe(logStart);
        await checkPast("p", scene.whole, scene);
      }
    }));
});

describe("who comes after a trim", () => {
  test("[V5] a viewer whose next change is gone gets a snapshot, reason expired", () =>
    play(async (scene) => {
      const hub = scene.hub();
      await scene.history(hub);
      const { epoch } = hub.projects.known("p")?.head ?? { epoch: "" };
      scene.time.block(2 * HOUR_MS);
      await scene.trimAll();
      const other = scene.hub();
      const { answer } = await prepareJoin("p", { epoch, seq: 3 }, other.following);
      expect(answer).toMatchObject({ mode: "snapshot", reason: "expired", seq: 10 });
      expect((await prepareJoin("p", { epoch, seq: 9 }, other.following)).answer).toMatchObject({ mode: "replay" });
    }));

  test("[D25] a mark that was read before the trim leads nobody over the hole", () =>
    play(async (scene) => {
      await scene.history(scene.hub());
      scene.time.block(2 * HOUR_MS);
      await scene.trimAll();
      let isStale = true;
      const projections = withMethods<Projections>(scene.projections, (real) => ({
        readMark: async (projectId) => {
          const mark = await real.readMark(projectId);
          const read = isStale && mark !== undefined ? { ...mark, projectedSeq: 3 } : mark;
          isStale = false;
          return read;
        },
      }));
      const other = scene.hub(scene.changeLog, projections);
      const project = await other.projects.get("p");
      await expect(other.projects.load(project, ["s"])).rejects.toThrow("does not go on after 3");
      await other.projects.load(project, ["s"]);
      expect(project.peek("s")?.session?.entity.metadata).toEqual({ op: 4 });
      isStale = true;
      expect(await other.snapshots.first(project)).toMatchObject({ seq: 10, sessions: [{}, {}] });
    }));

  test("[D25] a hub that was away goes on from where the log goes on", () =>
    play(async (scene) => {
      const [away, hub] = [scene.hub(), scene.hub()];
      const project = await away.projects.get("p");
      // Somebody follows the project there, but nothing arrives.
      away.headWatch.stop();
      project.followers += 1;
      await scene.history(hub);
      scene.time.block(2 * HOUR_MS);
      await scene.trimAll();
      await away.answer("p", publishOf(5, [{ kind: "session", metadata: { after: true } }]));
      expect(project.head.seq).toBe(11);
      await checkPast("p", scene.whole, scene);
    }));

  test("[D25] an append that arrives where a trimmed entry was counts for nothing, and its sender is not told otherwise", () =>
    play(async (scene) => {
      const gate = new Gate();
      let isLate = false;
      const late = withMethods<ChangeLog>(scene.changeLog, (real) => ({
        append: async (entries): Promise<readonly AppendOutcome[]> => {
          if (isLate) await gate.passed;
          return real.append(entries);
        },
      }));
      const [away, hub] = [scene.hub(late), scene.hub()];
      await away.answer("p", openOf("s"));
      await away.answer("p", openOf("away"));
      isLate = true;
      const submitted = away.submit("p", publishOf(1, [{ kind: "session", metadata: { lost: true } }]));
      await scene.time.sleep(1_000);
      for (let op = 1; op <= 4; op++) await hub.answer("p", publishOf(op, [{ kind: "session", metadata: { op } }]));
      scene.time.block(2 * HOUR_MS);
      await scene.trimAll();
      gate.open();
      isLate = false;
      expect(await submitted).toMatchObject({ ok: false, refusal: { code: "UNAVAILABLE" } });
      await scene.time.sleep(1_000);
      expect(away.projects.known("p")?.head ?? { seq: 6 }).toMatchObject({ seq: 6 });
      const { session } = await away.answer("p", publishOf(5, [{ kind: "session", metadata: { after: true } }]));
      expect(session.entity.metadata).toEqual({ op: 4, after: true });
      await scene.trim();
      await checkPast("p", scene.whole, scene);
    }));
});
