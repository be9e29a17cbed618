import { describe, expect, test } from "vitest";
import type { Command } from "../../server/domain/commands.ts";
import type { Lease } from "../../server/liveness/leases.ts";
import { MemoryChangeLog } from "../../server/memory/change-log.ts";
import { MemoryProjections } from "../../server/memory/projections.ts";
import type { ChangeLog } from "../../server/ports.ts";
import { Core } from "../support/core.ts";
import { openOf, publishOf } from "../support/entries.ts";
import { withMethods } from "../support/scripted.ts";
import { VirtualTime } from "../support/virtual-time.ts";

const TERMS = { ttlMs: 10_000, graceMs: 20_000 };
const BEAT_MS = 3_000;
/** A sweep, a commit, and the sweep that was just before. */
const VERDICT_MS = 600;

/** One hub, or several on one log, in virtual time. */
class Play {
  readonly time = new VirtualTime();
  readonly log = new MemoryChangeLog();
  readonly documents = new MemoryProjections();
  readonly open = new Set<string>();
  /** MongoDB takes nothing and says nothing. */
  isAway = false;
  terms = TERMS;
  readonly #cores: Core[] = [];

  core(hubId = "h1", bounds: ConstructorParameters<typeof Core>[0]["bounds"] = {}): Core {
    const changeLog = withMethods<ChangeLog>(this.log, (real) => ({
      append: (entries) => (this.isAway ? Promise.resolve(entries.map(() => "unknown")) : real.append(entries)),
    }));
    const core = new Core({
      hubId,
      time: this.time,
      changeLog,
      projections: this.documents,
      bounds,
      leaseTerms: () => this.terms,
      isOpen: (projectId, sessionId) => this.open.has(`${projectId}/${sessionId}`),
    });
    this.#cores.push(core);
    return core;
  }

  run(work: () => Promise<void>): Promise<void> {
    return this.time.run(
      () => 0.5,
      3_600_000,
      async () => {
        await work();
        for (const core of this.#cores) core.stop();
      },
    );
  }

  async hold(core: Core, command = openOf(), isOpen = true): Promise<Lease> {
    const { session } = await core.answer(command.project_id, command);
    const project = await core.projects.get(command.project_id);
    const lease = core.leases.hold(project, session.entity);
    if (lease === undefined) throw new Error("no lease");
    if (isOpen) this.open.add(lease.key);
    return lease;
  }

  /** Heartbeats for so long, the last one at the end. */
  async beat(core: Core, lease: Lease, forMs: number): Promise<void> {
    for (let left = forMs; left > 0; left -= BEAT_MS) {
      await this.time.sleep(Math.min(BEAT_MS, left));
      core.leases.renew(lease);
    }
  }

  /** The verdicts in the log: to what, and at which time. */
  verdicts(sessionId = "s"): { to: unknown; at: number; attempts?: unknown }[] {
    return this.log
      .entries("p")
      .flatMap(({ at, changes }) =>
        changes
          .filter((change) => change.type === "liveness" && change.session_id === sessionId)
          .map(({ patch }) => ({ to: patch?.liveness, at: Date.parse(at) })),
      );
  }

  said(sessionId?: string): unknown[] {
    return this.verdicts(sessionId).map(({ to }) => to);
  }

  metadata(sessionId = "s") {
    return this.documents.save().sessions.get(`p/${sessionId}`)?.entity.metadata;
  }
}

/** h2 holds h1 for dead. */
const LOST_BY_H2: Command = {
  type: "verdict",
  session_id: "s",
  to: "lost",
  condition: { hub_id: "h1", incarnation: 1, liveness: "online" },
  holds: () => true,
  actor: { kind: "hub", id: "h2" },
};

const play = (work: (play: Play) => Promise<void>) => () => {
  const one = new Play();
  return one.run(() => work(one));
};

describe("[B10] a lease", () => {
  test(
    "that is renewed brings no verdict",
    play(async (play) => {
      const core = play.core();
      await play.beat(core, await play.hold(core), 300_000);
      expect(play.said()).toEqual([]);
    }),
  );

  test(
    "that runs out makes the session stale within 2 s, and after the grace lost, once each",
    play(async (play) => {
      const core = play.core();
      const lease = await play.hold(core);
      await play.beat(core, lease, 30_000);
      const silentSince = play.time.now();
      await play.time.sleep(600_000);
      const [stale, lost, ...more] = play.verdicts();
      expect([stale?.to, lost?.to, more]).toEqual(["stale", "lost", []]);
      const staleAfter = (stale?.at ?? 0) - silentSince;
      expect(staleAfter).toBeGreaterThanOrEqual(TERMS.ttlMs);
      expect(staleAfter).toBeLessThan(TERMS.ttlMs + VERDICT_MS);
      const lostAfter = (lost?.at ?? 0) - silentSince - TERMS.ttlMs;
      expect(lostAfter).toBeGreaterThanOrEqual(TERMS.graceMs);
      expect(lostAfter).toBeLessThan(TERMS.graceMs + VERDICT_MS);
    }),
  );

  test(
    "that is renewed while stale brings the session back online, uncounted",
    play(async (play) => {
      const core = play.core();
      const lease = await play.hold(core);
      await play.time.sleep(TERMS.ttlMs + VERDICT_MS);
      await play.beat(core, lease, 60_000);
      expect(play.said()).toEqual(["stale", "online"]);
      expect(play.metadata()).toEqual({});
    }),
  );

  test(
    "[B11] that is renewed while lost, on a connection that never closed, brings it back and counts a recovery",
    play(async (play) => {
      const core = play.core();
      const lease = await play.hold(core);
      for (const attempts of [1, 2]) {
        await play.time.sleep(TERMS.ttlMs + TERMS.graceMs + 2 * VERDICT_MS);
        await play.beat(core, lease, 60_000);
        expect(play.metadata()).toEqual({ recovery_attempts: attempts });
      }
      expect(play.said()).toEqual(["stale", "lost", "online", "stale", "lost", "online"]);
    }),
  );

  test(
    "[H14] outlives its connection, and is dropped when the session is lost and open nowhere",
    play(async (play) => {
      const core = play.core();
      await play.hold(core, openOf(), false);
      await play.time.sleep(TERMS.ttlMs + VERDICT_MS);
      expect([play.said(), core.leases.size]).toEqual([["stale"], 1]);
      await play.time.sleep(TERMS.graceMs + VERDICT_MS);
      expect([play.said(), core.leases.size]).toEqual([["stale", "lost"], 0]);
      expect((await core.projects.get("p")).followers).toBe(0);
    }),
  );

  test(
    "[O6] a return within the ttl leaves no trace in the log",
    play(async (play) => {
      const core = play.core();
      const lease = await play.hold(core, openOf(), false);
      await play.time.sleep(TERMS.ttlMs - 1_000);
      const again = { ...openOf(), proven_incarnation: 1, showed_token: true };
      core.leases.onOwnerSeen("p", "s", 1);
      expect(await play.hold(core, again)).toBe(lease);
      await play.beat(core, lease, 30_000);
      expect(play.log.entries("p")).toHaveLength(1);
    }),
  );

  test(
    "of a session opened by nobody who heard the answer runs out too",
    play(async (play) => {
      const core = play.core();
      await core.answer("p", openOf());
      await play.time.sleep(TERMS.ttlMs + VERDICT_MS);
      expect(play.said()).toEqual(["stale"]);
    }),
  );

  test(
    "never says anything of a session that REST created",
    play(async (play) => {
      const core = play.core();
      const actor = { kind: "operator", id: "o" } as const;
      const create: Command = {
        type: "create",
        session_id: "s",
        project_id: "p",
        machine_id: "m",
        actor,
        request_id: "r",
      };
      await core.answer("p", create);
      await play.time.sleep(600_000);
      expect([play.said(), core.leases.size]).toEqual([[], 0]);
    }),
  );

  test(
    "ends with the session, with a newer owner, and when the owner goes to another hub",
    play(async (play) => {
      const core = play.core("h1", { headPollMs: 100 });
      const other = play.core("h2");
      for (const session of ["ended", "taken", "moved"]) await play.hold(core, openOf(session));
      await core.answer("p", publishOf(1, [{ kind: "session", status: "FAILED" }], { session_id: "ended" }));
      await other.answer("p", openOf("taken"));
      await other.answer("p", { ...openOf("moved"), proven_incarnation: 1, showed_token: true });
      await play.time.sleep(200);
      expect(core.leases.size).toBe(0);
      expect(other.leases.size).toBe(2);
      await play.time.sleep(TERMS.ttlMs + VERDICT_MS);
      expect(["ended", "taken", "moved"].map((session) => play.said(session))).toEqual([[], ["stale"], ["stale"]]);
      const judges = play.log.entries("p").filter(({ changes }) => changes.some(({ type }) => type === "liveness"));
      expect(new Set(judges.map(({ hub_id }) => hub_id))).toEqual(new Set(["h2"]));
    }),
  );
});

test(
  "[B11] an agent that is heard of is back online, whoever said that it was lost, and with its session out of memory",
  play(async (play) => {
    const core = play.core("h1", { headPollMs: 100, cachedFamilies: 1 });
    const other = play.core("h2");
    const lease = await play.hold(core);
    await play.hold(core, openOf("more"));
    await other.answer("p", LOST_BY_H2);
    expect((await core.projects.get("p")).peek("s")).toBeUndefined();
    await play.beat(core, lease, 20_000);
    expect(play.said()).toEqual(["lost", "online"]);
    expect(play.metadata()).toEqual({ recovery_attempts: 1 });
  }),
);

test(
  "[B11] heartbeats before another hub's verdict do not speak against it",
  play(async (play) => {
    const core = play.core("h1", { headPollMs: 100 });
    const other = play.core("h2");
    await play.beat(core, await play.hold(core), 30_000);
    await play.time.sleep(2_000);
    await other.answer("p", LOST_BY_H2);
    await play.time.sleep(120_000);
    expect(play.said()).toEqual(["lost"]);
  }),
);

describe("[B10] nobody is judged for what the hub could not hear:", () => {
  test(
    "a hub that was stalled extends all leases by the stall",
    play(async (play) => {
      const core = play.core();
      const lease = await play.hold(core);
      for (let stalls = 0; stalls < 5; stalls++) {
        await play.beat(core, lease, 6_000);
        await play.time.sleep(BEAT_MS);
        play.time.block(3 * TERMS.ttlMs);
        // What waits in the sockets is heard within a second.
        await play.time.sleep(1_000);
        core.leases.renew(lease);
      }
      expect(play.said()).toEqual([]);
      await play.time.sleep(TERMS.ttlMs + VERDICT_MS);
      expect(play.said()).toEqual(["stale"]);
    }),
  );

  test(
    "a stall that is not over does not let a lease run out either",
    play(async (play) => {
      const core = play.core();
      await play.hold(core);
      await play.time.sleep(TERMS.ttlMs - 1_000);
      play.time.block(60_000);
      await play.time.sleep(300);
      expect(play.said()).toEqual([]);
    }),
  );

  test(
    "while MongoDB is away verdicts wait, and one that no longer holds is dropped",
    play(async (play) => {
      const core = play.core();
      const lease = await play.hold(core);
      await play.hold(core, openOf("other"));
      await play.time.sleep(TERMS.ttlMs - 500);
      play.isAway = true;
      // An append is under way, so that nothing else of the project can be decided until MongoDB is back.
      void core.submit("p", publishOf(1, [{ kind: "session", status: "IDLE" }], { session_id: "other" }));
      await play.time.sleep(3_000);
      core.leases.renew(lease);
      play.isAway = false;
      await play.beat(core, lease, 30_000);
      expect(play.said()).toEqual([]);
      expect(play.said("other")).toContain("stale");
    }),
  );

  test(
    "an agent without a connection gets another ttl after an outage, in which it could open nowhere",
    play(async (play) => {
      const core = play.core();
      await play.hold(core, openOf(), false);
      await play.hold(core, openOf("other"));
      await play.time.sleep(TERMS.ttlMs - 500);
      play.isAway = true;
      void core.submit("p", publishOf(1, [{ kind: "session", status: "IDLE" }], { session_id: "other" }));
      await play.time.sleep(60_000);
      play.isAway = false;
      await play.time.sleep(TERMS.ttlMs - VERDICT_MS);
      expect(play.said()).toEqual([]);
      // Its return is noticed by an append and a verdict that are sent again, a second apart at most.
      await play.time.sleep(2_000 + 2 * VERDICT_MS);
      expect(play.said()).toEqual(["stale"]);
    }),
  );

  test(
    "an outage is over when MongoDB is back, though nothing else was to be said meanwhile",
    play(async (play) => {
      const core = play.core();
      await play.hold(core, openOf(), false);
      await play.time.sleep(TERMS.ttlMs - 500);
      play.isAway = true;
      void core.submit("p", openOf("other"));
      await play.time.sleep(6_000);
      play.isAway = false;
      // The owner tries to come back; for a long time nobody is silent.
      for (let tries = 0; tries < 10; tries++) {
        core.leases.onOwnerSeen("p", "s", 1);
        await play.time.sleep(TERMS.ttlMs / 2);
      }
      expect(play.said()).toEqual([]);
      await play.time.sleep(TERMS.ttlMs / 2 + VERDICT_MS);
      expect(play.said()).toEqual(["stale"]);
    }),
  );

  test(
    "an owner who returns while the verdict is on its way is not judged, though both are decided together",
    play(async (play) => {
      const core = play.core();
      await play.hold(core, openOf(), false);
      await play.time.sleep(TERMS.ttlMs - 100);
      // The queue of the project stands still: it is this hub's turn only then. The sweep puts the verdict into it.
      (await core.projects.get("p")).turns.pass("another hub", play.time.monotonic() + 1_000);
      await play.time.sleep(600);
      core.leases.onOwnerSeen("p", "s", 1);
      await core.answer("p", { ...openOf(), proven_incarnation: 1, showed_token: true });
      await play.time.sleep(2_000);
      expect(play.log.entries("p")).toHaveLength(1);
    }),
  );

  test(
    "a ttl that becomes longer brings nobody back who was not heard of",
    play(async (play) => {
      const core = play.core();
      const lease = await play.hold(core);
      await play.time.sleep(TERMS.ttlMs + VERDICT_MS);
      play.terms = { ttlMs: 60_000, graceMs: TERMS.graceMs };
      await play.time.sleep(20_000);
      expect(play.said()).toEqual(["stale"]);
      core.leases.renew(lease);
      await play.time.sleep(VERDICT_MS);
      expect(play.said()).toEqual(["stale", "online"]);
    }),
  );

  test(
    "a hub that stops says nothing",
    play(async (play) => {
      const core = play.core();
      await play.hold(core);
      await play.time.sleep(TERMS.ttlMs - 100);
      core.leaseSweep.stop();
      await play.time.sleep(600_000);
      expect(play.said()).toEqual([]);
    }),
  );
});

test(
  "[L6] leases are bounded; a session that has one may always be opened again",
  play(async (play) => {
    const core = play.core("h1", { leases: 2 });
    for (const session of ["a", "b"]) {
      expect(core.leases.hasRoomFor("p", session)).toBe(true);
      await play.hold(core, openOf(session));
    }
    expect(core.leases.hasRoomFor("p", "c")).toBe(false);
    expect(core.leases.hasRoomFor("p", "a")).toBe(true);
  }),
);

test(
  "[B10] a thousand agents that vanish at once are judged in time, once each",
  play(async (play) => {
    const core = play.core("h1", { verdictsInFlight: 100 });
    const SESSIONS = 1_000;
    await Promise.all(Array.from({ length: SESSIONS }, (_, n) => play.hold(core, openOf(`s${n}`), false)));
    const opened = play.time.now();
    await play.time.sleep(TERMS.ttlMs + TERMS.graceMs + 4_000);
    const said = Array.from({ length: SESSIONS }, (_, n) => play.verdicts(`s${n}`));
    expect(
      said.every(([stale, lost, ...more]) => stale?.to === "stale" && lost?.to === "lost" && more.length === 0),
    ).toBe(true);
    const latest = Math.max(...said.map(([stale]) => stale?.at ?? 0));
    expect(latest - opened).toBeLessThan(TERMS.ttlMs + 4_000);
    expect(core.leases.size).toBe(0);
  }),
);
