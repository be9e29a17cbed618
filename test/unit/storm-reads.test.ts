import { describe, expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import { prepareJoin } from "../../server/following/join.ts";
import { ReturningSessions } from "../../server/liveness/returning-sessions.ts";
import { MemoryChangeLog } from "../../server/memory/change-log.ts";
import { MemoryHeldSessions } from "../../server/memory/held-sessions.ts";
import { MemoryProjections } from "../../server/memory/projections.ts";
import type { JoinedWithReplay, JoinedWithSnapshot } from "../../shared/messages/project-join.ts";
import { Core } from "../support/core.ts";
import { openOf, publishOf, QUIET } from "../support/entries.ts";
import { VirtualTime } from "../support/virtual-time.ts";

/** Stores that count what is read, and a hub that has filled a project before another one is asked for all of it. */
class World {
  readonly time = new VirtualTime();
  readonly reads: Record<string, number> = {};
  readonly log: MemoryChangeLog;
  readonly projections: MemoryProjections;

  constructor() {
    this.log = this.#counted(new MemoryChangeLog());
    this.projections = this.#counted(new MemoryProjections());
  }

  hub(hubId: string): Core {
    return new Core({ hubId, time: this.time, changeLog: this.log, projections: this.projections });
  }

  returning(hub: Core): ReturningSessions {
    const heldSessions = this.#counted(new MemoryHeldSessions(this.projections));
    return new ReturningSessions({
      projects: hub.projects,
      heldSessions,
      clock: this.time,
      log: QUIET,
      bounds: BOUNDS,
    });
  }

  /** Runs in virtual time; the hubs are stopped at the end. */
  run(work: () => Promise<readonly Core[]>): Promise<void> {
    return this.time.run(
      () => 0.5,
      60_000,
      async () => {
        for (const hub of await work()) hub.stop();
      },
    );
  }

  forget(): void {
    for (const name of Object.keys(this.reads)) delete this.reads[name];
  }

  #counted<T extends object>(store: T): T {
    return new Proxy(store, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== "function") return member;
        return (...args: unknown[]) => {
          this.reads[String(name)] = (this.reads[String(name)] ?? 0) + 1;
          return member.apply(target, args);
        };
      },
    });
  }
}

const SESSIONS = Array.from({ length: 50 }, (_, index) => `s${index}`);

async function fill(hub: Core): Promise<void> {
  await Promise.all(SESSIONS.map((id) => hub.answer("p", openOf(id))));
}

describe("sessions that come back from a hub that is gone", () => {
  test("are read together, by the first of them", () => {
    const world = new World();
    return world.run(async () => {
      const gone = world.hub("h1");
      await fill(gone);
      const hub = world.hub("h2");
      const returning = world.returning(hub);
      world.forget();
      await Promise.all(SESSIONS.map((id) => returning.prepare("p", id)));
      expect(world.reads).toMatchObject({
        readHead: 1,
        idsOf: 1,
        readMark: 1,
        readFamilies: 1,
        readAfterOfSessions: 1,
      });
      world.forget();
      const opened = SESSIONS.map((id) => hub.answer("p", { ...openOf(id), proven_incarnation: 1 }));
      expect((await Promise.all(opened)).every(({ resumed }) => resumed)).toBe(true);
      expect(world.reads.readFamilies).toBeUndefined();
      return [gone, hub];
    });
  });

  test("one that is not among them is looked for again only later", () => {
    const world = new World();
    return world.run(async () => {
      const gone = world.hub("h1");
      await fill(gone);
      const hub = world.hub("h2");
      const returning = world.returning(hub);
      await returning.prepare("p", "s0");
      world.forget();
      await returning.prepare("p", "unknown");
      expect(world.reads.idsOf).toBeUndefined();
      await world.time.sleep(BOUNDS.returnsAgainMs);
      await returning.prepare("p", "unknown");
      expect(world.reads.idsOf).toBe(1);
      return [gone, hub];
    });
  });

  test("a database that does not answer holds an open up for a moment only", () => {
    const world = new World();
    return world.run(async () => {
      const hub = world.hub("h2");
      world.log.readHead = () => Promise.reject(new Error("away"));
      await world.returning(hub).prepare("p", "s0");
      return [hub];
    });
  });
});

describe("viewers that come back to a project at once", () => {
  test("share one read of what they missed, also those who stood a little earlier", () => {
    const world = new World();
    return world.run(async () => {
      const gone = world.hub("h1");
      await fill(gone);
      for (let op = 1; op <= 20; op += 1) {
        await gone.answer("p", { ...publishOf(op, [{ kind: "session", metadata: { op } }]), session_id: "s0" });
      }
      const { head } = await gone.projects.get("p");
      const hub = world.hub("h2");
      world.forget();
      const joins = [65, 60, 69, 62].map((seq) => prepareJoin("p", { epoch: head.epoch, seq }, hub.following));
      const answers = (await Promise.all(joins)).map(({ answer }) => answer as JoinedWithReplay);
      expect(answers.map(({ mode, from_seq, seq }) => [mode, from_seq, seq])).toEqual(
        [66, 61, 70, 63].map((from) => ["replay", from, 70]),
      );
      expect(answers.map(({ changes }) => changes.map(({ seq }) => seq))).toEqual(
        [66, 61, 70, 63].map((from) => Array.from({ length: 71 - from }, (_, index) => from + index)),
      );
      // Two of them to catch up: a project that nobody has followed may have gone on.
      expect(world.reads).toMatchObject({ readHead: 1, readAfter: 3 });
      expect(world.reads.readHolding).toBeUndefined();
      return [gone, hub];
    });
  });

  test("[V2] [V14] share a snapshot of a moment ago and the changes since; a join on its own gets the newest", () => {
    const world = new World();
    return world.run(async () => {
      const hub = world.hub("h1");
      await fill(hub);
      const join = async () => {
        const prepared = await prepareJoin("p", undefined, hub.following);
        return prepared.answer as JoinedWithSnapshot;
      };
      const change = (op: number) =>
        hub.answer("p", { ...publishOf(op, [{ kind: "session", metadata: { op } }]), session_id: "s0" });
      expect((await join()).seq).toBe(50);
      await change(1);
      world.forget();
      const storm = await Promise.all(Array.from({ length: BOUNDS.snapshotReuseJoins }, join));
      expect(new Set(storm.map(({ seq }) => seq))).toEqual(new Set([51]));
      for (let op = 2; op <= 6; op += 1) {
        await change(op);
        expect((await join()).seq).toBe(51);
      }
      expect(world.reads.readWindow).toBe(1);
      const project = await hub.projects.get("p");
      expect((await hub.snapshots.first(project)).seq).toBe(56);
      await change(7);
      await world.time.sleep(BOUNDS.snapshotReuseMs);
      expect((await join()).seq).toBe(57);
      return [hub];
    });
  });
});
