import { describe, expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import type { VerdictCommand } from "../../server/domain/commands.ts";
import type { LogChange } from "../../server/domain/records.ts";
import { OtherHubs } from "../../server/liveness/other-hubs.ts";
import { hubOfProject } from "../../server/liveness/share.ts";
import { MemoryChangeLog } from "../../server/memory/change-log.ts";
import { MemoryHeldSessions } from "../../server/memory/held-sessions.ts";
import { MemoryHubs } from "../../server/memory/hubs.ts";
import { MemoryProjections } from "../../server/memory/projections.ts";
import type { Hubs, Logger } from "../../server/ports.ts";
import type { Session } from "../../shared/entities.ts";
import { Core } from "../support/core.ts";
import { AT, creation, entryOf, openOf } from "../support/entries.ts";
import { Gate } from "../support/scripted.ts";
import { VirtualTime } from "../support/virtual-time.ts";

const TTL = 15_000;
const GRACE = 30_000;
/** From the death of a hub until its sessions are judged, at the latest: a look, its time to die, a look, the grace. */
const JUDGED = BOUNDS.hubReadMs + BOUNDS.hubDeathMs + BOUNDS.hubReadMs + GRACE + 1_000;
const PROJECTS = ["p0", "p1", "p2", "p3", "p4"];

class SimulatedHub {
  readonly core: Core;
  readonly others: OtherHubs;
  /** Messages of the log, warnings and above. */
  readonly warnings: string[] = [];
  readonly submitted: VerdictCommand[] = [];
  /** It can do nothing at all, like a stopped process; undefined: it runs. */
  #frozen: Gate | undefined;

  constructor(hubId: string, { time, changeLog, projections, rows }: Table) {
    const log: Logger = {
      debug() {},
      info() {},
      warn: (_fields, message) => this.warnings.push(message),
      error: (_fields, message) => this.warnings.push(message),
    };
    this.core = new Core({ hubId, time, changeLog, projections });
    const thawed = async () => this.#frozen?.passed;
    const hubs: Hubs = {
      raise: async (id) => thawed().then(() => rows.raise(id)),
      read: async (limit) => thawed().then(() => rows.read(limit)),
      remove: async (id, beat) => thawed().then(() => rows.remove(id, beat)),
    };
    this.others = new OtherHubs({
      ...{ hubId, hubs, clock: time, log, bounds: BOUNDS, ttlMs: TTL, graceMs: GRACE },
      heldSessions: new MemoryHeldSessions(projections),
      active: this.core.active,
      writer: {
        submit: (projectId, command, bytes) => {
          this.submitted.push(command as VerdictCommand);
          return this.core.writer.submit(projectId, command, bytes);
        },
      },
      onDeath: (isMine) => this.core.onHubDeath(isMine),
    });
  }

  freeze(): void {
    this.#frozen = new Gate();
  }

  thaw(): void {
    this.#frozen?.open();
    this.#frozen = undefined;
  }

  end(): void {
    this.freeze();
    this.core.stop();
  }
}

/** Hubs on one database in memory, on virtual time. */
class Table {
  readonly time = new VirtualTime();
  readonly changeLog = new MemoryChangeLog();
  readonly projections = new MemoryProjections();
  readonly rows = new MemoryHubs();
  readonly #hubs: SimulatedHub[] = [];

  async hub(hubId: string): Promise<SimulatedHub> {
    const hub = new SimulatedHub(hubId, this);
    this.#hubs.push(hub);
    await hub.others.start();
    return hub;
  }

  /** So many hubs that have run long enough to judge others. */
  async hubs(...hubIds: readonly string[]): Promise<SimulatedHub[]> {
    const hubs = await Promise.all(hubIds.map((hubId) => this.hub(hubId)));
    await this.time.sleep(TTL + GRACE + 1_000);
    return hubs;
  }

  async sessionsOn(hub: SimulatedHub, perProject = 3): Promise<void> {
    for (const project of PROJECTS) {
      for (let count = 0; count < perProject; count++) await hub.core.answer(project, openOf(`s${count}`, project));
    }
  }

  /** The verdicts in the log, `<project>/<session> <liveness>` each, in order of the projects. */
  async verdicts(): Promise<string[]> {
    const found: string[] = [];
    for (const project of PROJECTS) {
      const entries = await this.changeLog.readAfter(project, 0, 1_000);
      const changes = entries.flatMap((entry) => entry.changes).filter(({ type }) => type === "liveness");
      found.push(...changes.map((change: LogChange) => `${project}/${change.id} ${change.patch?.liveness}`));
    }
    return found;
  }

  run(play: () => Promise<void>): Promise<void> {
    return this.time.run(
      () => 0.5,
      10 * 60_000,
      async () => {
        await play();
        for (const hub of this.#hubs) hub.end();
      },
    );
  }
}

const allLost = (perProject = 3) =>
  PROJECTS.flatMap((project) => Array.from({ length: perProject }, (_, count) => `${project}/s${count} lost`));

describe("a hub that dies", () => {
  test("[Y1] [Y4] its sessions are lost after the grace, one change each, with three others judging at once", async () => {
    const table = new Table();
    await table.run(async () => {
      const [dead, ...others] = await table.hubs("a", "b", "c", "d");
      await table.sessionsOn(dead as SimulatedHub);
      dead?.end();
      await table.time.sleep(BOUNDS.hubDeathMs + GRACE - BOUNDS.hubRaiseMs);
      expect(await table.verdicts()).toEqual([]);
      await table.time.sleep(JUDGED - BOUNDS.hubDeathMs - GRACE + BOUNDS.hubRaiseMs);
      expect((await table.verdicts()).toSorted()).toEqual(allLost());
      expect(others.reduce((sum, { submitted }) => sum + submitted.length, 0)).toBe(allLost().length);
      expect(others.map(({ warnings }) => warnings[0])).toEqual(
        others.map(() => "a hub does not answer, its sessions get the grace"),
      );
      const session = (await table.projections.readFamilies("p0", ["s0"])).get("s0")?.session?.entity;
      expect(session).toMatchObject({ liveness: "lost", hub_id: "a", version: 2 });
      expect(session?.lost_at).toBe(session?.updated_at);
    });
  });

  test("its row is removed when all its sessions are judged, and it is spoken of no more", async () => {
    const table = new Table();
    await table.run(async () => {
      const [dead, other] = await table.hubs("a", "b");
      await table.sessionsOn(dead as SimulatedHub, 1);
      dead?.end();
      await table.time.sleep(GRACE);
      expect([...(await table.rows.read(10)).keys()]).toEqual(["a", "b"]);
      await table.time.sleep(JUDGED - GRACE + 1_000);
      expect([...(await table.rows.read(10)).keys()]).toEqual(["b"]);
      await table.time.sleep(3 * JUDGED);
      expect(other?.warnings).toHaveLength(2);
    });
  });

  test("[Y4] sessions that are open on another hub by then are nobody's to judge", async () => {
    const table = new Table();
    await table.run(async () => {
      const [dead, other] = await table.hubs("a", "b");
      await table.sessionsOn(dead as SimulatedHub, 2);
      dead?.end();
      await table.time.sleep(BOUNDS.hubDeathMs + GRACE / 2);
      for (const project of PROJECTS) {
        await other?.core.answer(project, { ...openOf("s0", project), proven_incarnation: 1, showed_token: true });
      }
      await table.time.sleep(JUDGED);
      expect(await table.verdicts()).toEqual(PROJECTS.map((project) => `${project}/s1 lost`));
    });
  });

  test("[Y4] a session that it committed and did not project is found all the same, in a project nobody uses", async () => {
    const table = new Table();
    await table.run(async () => {
      const [dead] = await table.hubs("a", "b", "c");
      const created = creation(1, "s0", "p0");
      const state = { ...(created.state as Session), hub_id: "a" };
      await table.changeLog.append([
        entryOf([{ ...created, state } as LogChange], { project_id: "p0", hub_id: "a", at: AT }),
      ]);
      dead?.end();
      await table.time.sleep(JUDGED + 1_000);
      expect(await table.verdicts()).toEqual(["p0/s0 lost"]);
    });
  });

  test("[Y4] a hub that does not do its share is stood in for", async () => {
    const table = new Table();
    await table.run(async () => {
      const [dead, idle] = await table.hubs("a", "b", "c");
      await table.sessionsOn(dead as SimulatedHub, 1);
      await idle?.others.pauseJudging();
      dead?.end();
      await table.time.sleep(JUDGED);
      const share = PROJECTS.filter((project) => hubOfProject(project, ["b", "c"]) === "c");
      expect(share.length).toBeGreaterThan(0);
      expect(share.length).toBeLessThan(PROJECTS.length);
      expect(await table.verdicts()).toEqual(share.map((project) => `${project}/s0 lost`));
      await table.time.sleep(GRACE);
      expect((await table.verdicts()).toSorted()).toEqual(allLost(1));
    });
  });
});

describe("a verdict that waits", () => {
  test("[Y4] is dropped when the hub answers again before the commit", async () => {
    const table = new Table();
    await table.run(async () => {
      const [dead, other] = await table.hubs("a", "b");
      await table.sessionsOn(dead as SimulatedHub, 1);
      dead?.freeze();
      while (other?.submitted.length === 0) await table.time.sleep(1);
      const verdict = other?.submitted[0];
      expect(verdict?.holds()).toBe(true);
      dead?.thaw();
      await table.time.sleep(BOUNDS.hubRaiseMs + BOUNDS.hubReadMs);
      expect(verdict?.holds()).toBe(false);
    });
  });

  test("[Y4] is dropped when its hub could not look for as long as another takes to die", async () => {
    const table = new Table();
    await table.run(async () => {
      const [dead, other] = await table.hubs("a", "b");
      await table.sessionsOn(dead as SimulatedHub, 1);
      dead?.freeze();
      while (other?.submitted.length === 0) await table.time.sleep(1);
      other?.freeze();
      const verdict = other?.submitted[0];
      await table.time.sleep(BOUNDS.hubDeathMs - BOUNDS.hubReadMs - 100);
      expect(verdict?.holds()).toBe(true);
      await table.time.sleep(BOUNDS.hubReadMs + 100);
      expect(verdict?.holds()).toBe(false);
    });
  });
});

describe("a hub that pauses", () => {
  test("[Y4] answers again within the grace: none of its sessions is judged", async () => {
    const table = new Table();
    await table.run(async () => {
      const [paused, other] = await table.hubs("a", "b");
      await table.sessionsOn(paused as SimulatedHub);
      paused?.freeze();
      await table.time.sleep(GRACE);
      expect(other?.warnings).toHaveLength(1);
      paused?.thaw();
      await table.time.sleep(2 * JUDGED);
      expect(await table.verdicts()).toEqual([]);
    });
  });

  test("[Y4] comes back after the grace to lost sessions: it raises a new row, and nothing is lost twice", async () => {
    const table = new Table();
    await table.run(async () => {
      const [paused] = await table.hubs("a", "b");
      await table.sessionsOn(paused as SimulatedHub);
      paused?.freeze();
      await table.time.sleep(2 * JUDGED);
      expect((await table.verdicts()).toSorted()).toEqual(allLost());
      expect([...(await table.rows.read(10)).keys()]).toEqual(["b"]);
      paused?.thaw();
      await table.time.sleep(2 * JUDGED);
      expect(await table.rows.read(10)).toHaveProperty("size", 2);
      expect(paused?.warnings).toEqual([
        "other hubs took this one for dead and may have declared its sessions lost; it goes on",
      ]);
      expect((await table.verdicts()).toSorted()).toEqual(allLost());
    });
  });

  test("[Y2] all hubs pausing at once, or MongoDB: nobody is dead", async () => {
    const table = new Table();
    await table.run(async () => {
      const hubs = await table.hubs("a", "b");
      await table.sessionsOn(hubs[0] as SimulatedHub);
      for (const hub of hubs) hub.freeze();
      await table.time.sleep(2 * JUDGED);
      // The second is back before the first.
      hubs[1]?.thaw();
      await table.time.sleep(BOUNDS.hubDeathMs - 500);
      hubs[0]?.thaw();
      await table.time.sleep(JUDGED);
      expect(await table.verdicts()).toEqual([]);
      expect(hubs.flatMap(({ warnings }) => warnings)).toEqual([]);
    });
  });
});

describe("hubs that are gone", () => {
  test("[Y3] a drained hub's sessions get the grace and not the time to die", async () => {
    const table = new Table();
    await table.run(async () => {
      const [drained] = await table.hubs("a", "b");
      await table.sessionsOn(drained as SimulatedHub);
      await drained?.others.stop();
      expect([...(await table.rows.read(10)).keys()]).toEqual(["b"]);
      await table.time.sleep(GRACE - 1_000);
      expect(await table.verdicts()).toEqual([]);
      await table.time.sleep(2_500);
      expect((await table.verdicts()).toSorted()).toEqual(allLost());
    });
  });

  test("[Y5] after a restart of everything agents get ttl and grace to come back", async () => {
    const table = new Table();
    await table.run(async () => {
      const [former, drained] = await table.hubs("a", "b");
      await table.sessionsOn(former as SimulatedHub, 1);
      await drained?.core.answer("p0", openOf("of-b", "p0"));
      await drained?.others.stop();
      former?.end();
      await table.time.sleep(60_000);
      const next = await table.hub("c");
      await table.time.sleep(TTL + GRACE - 1_000);
      expect(await table.verdicts()).toEqual([]);
      await next.core.answer("p0", { ...openOf("s0", "p0"), proven_incarnation: 1, showed_token: true });
      await table.time.sleep(2_500);
      expect((await table.verdicts()).toSorted()).toEqual(["p0/of-b lost", ...allLost(1).slice(1)]);
    });
  });
});

describe("shares", () => {
  test("every hub comes to the same, all projects fall to somebody, and a death moves only its own", () => {
    const hubs = ["a", "b", "c", "d"];
    const projects = Array.from({ length: 400 }, (_, index) => `project-${index}`);
    const before = new Map(projects.map((project) => [project, hubOfProject(project, hubs)]));
    for (const hub of hubs) {
      const share = projects.filter((project) => before.get(project) === hub);
      expect(share.length).toBeGreaterThan(60);
      expect(share.length).toBeLessThan(140);
    }
    for (const project of projects) {
      const after = hubOfProject(project, ["a", "b", "d"]);
      if (before.get(project) !== "c") expect(after).toBe(before.get(project));
      else expect(after).not.toBe("c");
    }
    expect(hubOfProject("p", ["only"])).toBe("only");
    expect(hubOfProject("p", [])).toBeUndefined();
  });
});
