import { describe, expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import { Purges } from "../../server/forgetting/purges.ts";
import { MemoryBeats } from "../../server/memory/beats.ts";
import { MemoryChangeLog } from "../../server/memory/change-log.ts";
import { MemoryPurges } from "../../server/memory/purges.ts";
import type { ChangeLog, ProjectionBatch, Projections, PurgeRecord } from "../../server/ports.ts";
import { trimStep } from "../../server/retention/trim.ts";
import type { Outcome } from "../../server/writer/outcome.ts";
import type { Core } from "../support/core.ts";
import { CoreScene, HOUR_MS } from "../support/core-scene.ts";
import { openOf, publishOf, QUIET } from "../support/entries.ts";
import { Gate, withMethods } from "../support/scripted.ts";

const SECRET = "swordfish";
const EDIT = {
  type: "edit",
  session_id: "other",
  request_id: "edit",
  actor: { kind: "operator", id: "key:1" },
} as const;
const ORDER = { project_id: "p", actor: { kind: "operator", id: "key:1" }, request_id: "r" } as const;

/** Stores, and hubs on them. */
class Scene extends CoreScene<MemoryChangeLog> {
  readonly beats = new MemoryBeats();
  readonly store = new MemoryPurges();

  get ports() {
    const { changeLog, projections, base, beats, store, time } = this;
    const common = { hubId: "purger", clock: time, log: QUIET, bounds: BOUNDS, primaryChanges: () => 0 };
    return { ...common, changeLog, projections, base, beats, store, onRemoval: () => {} };
  }

  /** Resolves when nothing is under way any more. */
  async purge(purges = new Purges(this.ports)): Promise<void> {
    const { id } = begun(await purges.begin({ ...ORDER, session_id: "s" }));
    await this.end(id);
  }

  async resume(): Promise<void> {
    this.time.block(2 * BOUNDS.purgeIdleMs);
    const open = await this.store.readOpen(new Date(this.time.now()).toISOString(), 10);
    await new Purges(this.ports).resume(() => true);
    for (const { id } of open) await this.end(id);
  }

  async end(id: string): Promise<void> {
    while ((await this.store.find(id))?.finished_at === undefined) await this.time.sleep(10);
  }

  /** A session that ended, whose every change has a secret, and another one. */
  async history(hub: Core): Promise<void> {
    await hub.answer("p", { ...openOf("s"), metadata: { SECRET } });
    await hub.answer("p", openOf("other"));
    await hub.answer("p", publishOf(1, [{ kind: "task", task_id: "t", title: SECRET }]));
    await hub.answer("p", publishOf(2, [{ kind: "session", status: "COMPLETED", metadata: { why: SECRET } }]));
    await this.time.sleep(2_000);
  }

  /** Everything in the stores, as text. */
  async everything(): Promise<string> {
    const inBase = [];
    for await (const batch of this.base.readAll("p")) inBase.push(batch);
    const { sessions, tasks } = this.projections.save();
    const entries = this.changeLog.entries("p").map(({ changes }) => changes);
    return JSON.stringify([entries, [...sessions.values()], [...tasks.values()], inBase]);
  }
}

function begun(outcome: Outcome<PurgeRecord>): PurgeRecord {
  if (!outcome.ok) throw new Error(outcome.refusal.message);
  return outcome.value;
}

const play = (work: (scene: Scene) => Promise<void>) => new Scene(new MemoryChangeLog()).run(work);

describe("a purge among hubs", () => {
  test("[D26] a hub with an old head loses its place to the removal, decides again, and its sessions go on", () =>
    play(async (scene) => {
      // Nobody tells it, and it does not look.
      const hub = scene.hub(withMethods<ChangeLog>(scene.changeLog, () => ({ findAhead: async () => [] })));
      await scene.history(hub);
      const before = hub.projects.known("p")?.head;
      await scene.purge();
      expect(hub.projects.known("p")?.head).toEqual(before);
      const answer = await hub.answer(
        "p",
        publishOf(1, [{ kind: "session", metadata: { a: 1 } }], { session_id: "other" }),
      );
      expect(answer.seq).toBe((before?.seq ?? 0) + 2);
      expect(hub.projects.known("p")?.head.epoch).not.toBe(before?.epoch);
      const refused = await hub.submit("p", publishOf(3, [{ kind: "session", metadata: { a: 1 } }]));
      expect(refused).toMatchObject({ ok: false, refusal: { code: "NOT_FOUND" } });
      expect(await hub.answer("p", openOf("s"))).toMatchObject({ created: true, session: { entity: { version: 1 } } });
      expect(await scene.everything()).not.toContain(SECRET);
    }));

  test("[D26] two hubs and an append in the same moment: each is in the log once", () =>
    play(async (scene) => {
      const hub = scene.hub();
      await scene.history(hub);
      const edit = (op: number) => publishOf(op, [{ kind: "session", metadata: { op } }], { session_id: "other" });
      const answers = [scene.purge(), hub.answer("p", edit(1)), scene.purge()];
      await Promise.all(answers);
      await hub.answer("p", edit(2));
      const changes = scene.changeLog.entries("p").flatMap((entry) => entry.changes);
      expect(changes.filter(({ type }) => type === "removed")).toHaveLength(1);
      expect(changes.filter(({ op }) => op === 1)).toHaveLength(1);
      expect(await scene.everything()).not.toContain(SECRET);
    }));

  test("[D27] documents that a stalled hub writes late do not come back", () =>
    play(async (scene) => {
      const written: ProjectionBatch[] = [];
      const projections = withMethods<Projections>(scene.projections, (real) => ({
        write: async (batch) => {
          written.push(batch);
          await real.write(batch);
        },
      }));
      await scene.history(scene.hub(scene.changeLog, projections));
      await scene.purge();
      expect(JSON.stringify(written)).toContain(SECRET);
      for (const batch of written) await scene.projections.write(batch);
      expect(await scene.everything()).not.toContain(SECRET);
    }));

  test("[D27] a trimming hub that read the base before puts nothing back", () =>
    play(async (scene) => {
      await scene.history(scene.hub());
      scene.time.block(2 * HOUR_MS);
      const gate = new Gate();
      const base = withMethods(scene.base, (real) => ({
        write: async (batch) => {
          await gate.passed;
          await real.write(batch);
        },
      }));
      const youngest = new Date(scene.time.now() - HOUR_MS).toISOString();
      const trimming = trimStep(
        "p",
        { youngest, olderThan: youngest, keptChanges: undefined },
        { ...scene.ports, base },
      );
      await scene.time.sleep(1);
      await scene.purge();
      gate.open();
      await trimming;
      // A trimmed entry may have been its own last trace; the next trim passes the removal.
      expect(await scene.everything()).not.toContain(SECRET);
    }));
});

/** Whose first call of a method fails. */
function failsOnce<P extends object>(port: P, method: keyof P): P {
  let hasFailed = false;
  return new Proxy(port, {
    get: (target, name) => {
      const member = Reflect.get(target, name) as unknown;
      if (typeof member !== "function") return member;
      return async (...args: unknown[]) => {
        if (name !== method || hasFailed) return member.apply(target, args);
        hasFailed = true;
        throw new Error("not answered");
      };
    },
  });
}

describe("a purge that meets a database which does not answer once", () => {
  test("[R73] forgets those of a project whose removal was in the log by then", () =>
    play(async (scene) => {
      const hub = scene.hub();
      await scene.history(hub);
      const purges = new Purges({ ...scene.ports, changeLog: failsOnce(scene.changeLog, "redact") });
      const { id } = begun(await purges.begin(ORDER));
      await scene.end(id);
      expect(await scene.everything()).not.toContain(SECRET);
    }));

  test("[D27] tasks go with a session whose document alone was removed before a crash", () =>
    play(async (scene) => {
      await scene.history(scene.hub());
      const projections = withMethods<Projections>(scene.projections, (real) => {
        let isFirst = true;
        return {
          write: async (batch) => {
            const isPart = isFirst && (batch.removals ?? []).length > 0;
            if (!isPart) return real.write(batch);
            isFirst = false;
            await real.write({ ...batch, removals: batch.removals?.map((one) => ({ ...one, task_ids: [] })) ?? [] });
            throw new Error("crash");
          },
        };
      });
      await scene.purge(new Purges({ ...scene.ports, projections }));
      expect(await scene.everything()).not.toContain(SECRET);
    }));

  test("[D5] an append whose answer is lost is still the hub's own when its entry has lost the session that it ended", () =>
    play(async (scene) => {
      let isLost = false;
      const answered = new Gate();
      const changeLog = withMethods<ChangeLog>(scene.changeLog, (real) => ({
        append: async (entries) => {
          const outcomes = await real.append(entries);
          if (!isLost) return outcomes;
          isLost = false;
          await answered.passed;
          return entries.map(() => "unknown");
        },
      }));
      const hub = scene.hub(changeLog);
      await hub.answer("p", openOf("s"));
      await hub.answer("p", openOf("other"));
      isLost = true;
      const edits = [
        hub.answer("p", publishOf(1, [{ kind: "session", status: "COMPLETED" }])),
        hub.answer("p", { ...EDIT, edits: [{ kind: "session", metadata: { a: 1 } }] }),
      ];
      await scene.time.sleep(10);
      await scene.purge();
      answered.open();
      const [ended, edited] = await Promise.all(edits);
      expect(edited).toMatchObject({ seq: (ended?.seq ?? 0) + 1, results: [{ changed: true }] });
    }));

  test("[R74] every end of an erasure counts, whichever removal was newer: what was remembered before is not told", () =>
    play(async (scene) => {
      await scene.history(scene.hub());
      await scene.purge();
      expect(await scene.projections.readMark("p")).toMatchObject({ forgotten: 1 });
      await scene.purge();
      expect(await scene.projections.readMark("p")).toMatchObject({ forgotten: 2 });
    }));
});

/** Ports of which the call with this number, counted over all of them, fails: before it is done, or after. */
function failing(scene: Scene, at: number, isDone: boolean) {
  let calls = 0;
  const wrap = <P extends object>(port: P): P =>
    new Proxy(port, {
      get: (target, name) => {
        const value = Reflect.get(target, name) as unknown;
        if (typeof value !== "function") return value;
        return async (...args: unknown[]) => {
          calls += 1;
          const isThis = calls >= at;
          const result = isThis && !isDone ? undefined : await value.apply(target, args);
          if (isThis) throw new Error("crash");
          return result;
        };
      },
    });
  const { changeLog, projections, base, beats, store } = scene;
  const ports = {
    ...scene.ports,
    ...{ changeLog: wrap(changeLog), projections: wrap(projections), base: wrap(base), beats: wrap(beats) },
    store: wrap(store),
  };
  return { ports, calls: () => calls };
}

test("[R73] a hub has so many purges under way at most; what is too much is refused and not begun", () =>
  play(async (scene) => {
    await scene.history(scene.hub());
    const gate = new Gate();
    const changeLog = withMethods<ChangeLog>(scene.changeLog, (real) => ({
      append: async (entries) => {
        await gate.passed;
        return real.append(entries);
      },
    }));
    const bounds = { ...BOUNDS, purgesAtOnce: 2 } as unknown as typeof BOUNDS;
    const purges = new Purges({ ...scene.ports, changeLog, bounds });
    const order = { ...ORDER, session_id: "s" };
    const outcomes = await Promise.all([purges.begin(order), purges.begin(order), purges.begin(order)]);
    expect(outcomes.map(({ ok }) => ok)).toEqual([true, true, false]);
    expect(outcomes[2]).toMatchObject({ refusal: { code: "OVERLOADED", retry_after_ms: 5_000 } });
    gate.open();
    await scene.time.sleep(5_000);
    expect((await purges.begin(order)).ok).toBe(true);
    await purges.stop();
  }));

describe("a purge that a crash interrupts", () => {
  test("[R73] whatever was its last call, another hub goes on and nothing is left", async () => {
    for (const isDone of [false, true]) {
      let reached = 2;
      // The first two calls keep the order itself.
      for (let at = 3; at <= reached + 1; at++) {
        await play(async (scene) => {
          const hub = scene.hub();
          await scene.history(hub);
          const { ports, calls } = failing(scene, at, isDone);
          const crashing = new Purges(ports);
          await crashing.begin({ ...ORDER, session_id: "s" });
          await scene.time.sleep(30_000);
          reached = Math.max(reached, Math.min(calls(), at));
          const stopped = crashing.stop();
          await scene.time.sleep(5_000);
          await stopped;
          await scene.resume();
          expect(await scene.everything(), `crash at call ${at}`).not.toContain(SECRET);
          const types = scene.changeLog.entries("p").flatMap(({ changes }) => changes.map(({ type }) => type));
          expect(types.filter((type) => type === "removed")).toHaveLength(1);
          if (calls() < at) reached = 0;
        });
      }
      expect(reached).toBe(0);
    }
  });
});
