import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import type { Overrides } from "../../server/hub.ts";
import type { Clock } from "../../server/ports.ts";
import { keepBeating } from "../support/beating.ts";
import { eventually } from "../support/eventually.ts";
import { type Database, openDatabase } from "../support/log-check.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, type Json, type Wire } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

const TTL = 1_500;
const GRACE = 1_500;
const LEASE = {
  HEARTBEAT_INTERVAL_MS: "500",
  LEASE_TTL_MS: String(TTL),
  LEASE_GRACE_MS: String(GRACE),
};
const DEATH = 800;
const bounds = { hubRaiseMs: 200, hubReadMs: 100, hubDeathMs: DEATH };
/** A live hub's session that would be judged falsely would have been by then. */
const LONG_ENOUGH = TTL + GRACE + DEATH + 1_000;

interface HubRow {
  readonly _id: string;
  readonly beat: number;
  readonly started_at: Date;
}

class Fleet {
  readonly uri = stage.database().uri;
  readonly key = randomUUID();
  #database: Promise<Database> | undefined;

  hub(overrides: Overrides = {}, env: Readonly<Record<string, string>> = {}): Promise<TestHub> {
    return stage.hub({
      ...{ uri: this.uri, key: this.key, env: { ...LEASE, ...env } },
      overrides: { ...overrides, bounds: { ...bounds, ...overrides.bounds } },
    });
  }

  database(): Promise<Database> {
    this.#database ??= openDatabase(stage, this.uri);
    return this.#database;
  }

  async rows(): Promise<HubRow[]> {
    return (await this.database()).db.collection<HubRow>("hubs").find().sort({ _id: 1 }).toArray();
  }

  async session(sessionId: string): Promise<Json> {
    return (await this.database()).session("p", sessionId);
  }

  /** Verdicts in the log, `<session> <liveness>`, sorted. */
  async verdicts(): Promise<string[]> {
    const entries = await (await this.database()).entries("p");
    return entries
      .flatMap((entry) => entry.changes as Json[])
      .filter(({ type }) => type === "liveness")
      .map(({ id, patch }) => `${id} ${patch.liveness}`)
      .toSorted();
  }
}

async function open(wire: Wire, ...sessionIds: readonly string[]): Promise<Json[]> {
  return Promise.all(
    sessionIds.map((session_id) => wire.askOk("session:open", { session_id, project_id: "p", machine_id: "m" })),
  );
}

test("[Y1] a hub keeps a row that rises, and removes it when it stops", async () => {
  const fleet = new Fleet();
  const hub = await fleet.hub();
  const [row] = await fleet.rows();
  expect(row).toMatchObject({ _id: hub.hubId, started_at: expect.any(Date) });
  await eventually("the row rises", async () => ((await fleet.rows())[0]?.beat ?? 0) >= (row?.beat ?? 0) + 3);
  await hub.stop();
  expect(await fleet.rows()).toEqual([]);
});

test("[Y6] [H12] a second live hub with the same HUB_ID is another hub: nobody is judged", async () => {
  const fleet = new Fleet();
  const twins = [await fleet.hub({}, { HUB_ID: "twin" }), await fleet.hub({}, { HUB_ID: "twin" })];
  expect((await fleet.rows()).map(({ _id }) => _id)).toEqual(twins.map(({ hubId }) => hubId).toSorted());
  for (const [index, hub] of twins.entries()) {
    const wire = await agent(stage, hub, `a${index}`);
    await open(wire, `s${index}`);
    keepBeating(stage, wire, [`s${index}`]);
  }
  await sleep(LONG_ENOUGH);
  expect(await fleet.verdicts()).toEqual([]);
  expect(await fleet.rows()).toHaveLength(2);
});

test("[Y3] a drained hub is gone at once: who is elsewhere within the grace stays online, the others are lost", async () => {
  const fleet = new Fleet();
  const drained = await fleet.hub();
  const other = await fleet.hub();
  const moving = await agent(stage, drained, "moving");
  const [{ token }] = (await open(moving, "moves", "stays")) as [Json];
  keepBeating(stage, moving, ["moves", "stays"]);
  // Until the other hub has run long enough to judge.
  await sleep(TTL + GRACE);
  const stoppingSince = performance.now();
  await drained.stop();
  const moved = await agent(stage, other, "moving");
  await moved.askOk("session:open", {
    ...{ session_id: "moves", project_id: "p", machine_id: "m", incarnation: 1, token },
  });
  keepBeating(stage, moved, ["moves"]);
  await eventually(
    "the session that nobody opened is lost",
    async () => (await fleet.session("stays")).liveness === "lost",
  );
  const took = performance.now() - stoppingSince;
  expect(took).toBeGreaterThan(GRACE);
  expect(await fleet.session("moves")).toMatchObject({ liveness: "online", hub_id: other.hubId });
  await sleep(GRACE + DEATH);
  const lost = (await fleet.verdicts()).filter((verdict) => verdict.endsWith("lost"));
  expect(lost).toEqual(["stays lost"]);
});

test("[Y1] [Y4] four hubs judge the sessions of a dead one: one change each, and its row goes", async () => {
  const fleet = new Fleet();
  const hubs = await Promise.all([1, 2, 3, 4, 5].map(() => fleet.hub()));
  const dying = hubs[0] as TestHub;
  const wire = await agent(stage, dying, "a");
  const sessionIds = Array.from({ length: 50 }, (_, index) => `s${index}`);
  await open(wire, ...sessionIds);
  keepBeating(stage, wire, sessionIds);
  await sleep(TTL + GRACE);
  await dying.stop();
  // A hub that was killed leaves its row behind.
  const rows = (await fleet.database()).db.collection<HubRow>("hubs");
  await rows.insertOne({ _id: dying.hubId, beat: 1_000, started_at: new Date() });
  await eventually("all are lost", async () => {
    const lost = (await fleet.verdicts()).filter((verdict) => verdict.endsWith(" lost"));
    return lost.length >= sessionIds.length;
  });
  await eventually("the row is removed", async () => (await fleet.rows()).length === 4);
  await sleep(2 * GRACE);
  const lost = (await fleet.verdicts()).filter((verdict) => verdict.endsWith(" lost"));
  expect(lost).toEqual(sessionIds.map((id) => `${id} lost`).toSorted());
  expect(await fleet.session("s0")).toMatchObject({ liveness: "lost", lost_at: expect.any(Date), hub_id: dying.hubId });
});

test("[Y1] wall clocks five minutes off judge nobody", async () => {
  const fleet = new Fleet();
  const off =
    (ms: number) =>
    (real: Clock): Clock => ({ now: () => real.now() + ms, monotonic: () => real.monotonic() });
  const hubs = [await fleet.hub({ clock: off(300_000) }), await fleet.hub({ clock: off(-300_000) }), await fleet.hub()];
  for (const [index, hub] of hubs.entries()) {
    const wire = await agent(stage, hub, `a${index}`);
    await open(wire, `s${index}`);
    keepBeating(stage, wire, [`s${index}`]);
  }
  await sleep(LONG_ENOUGH);
  expect(await fleet.verdicts()).toEqual([]);
});

test("[Y2] hubs whose event loops are blocked for three times the lease judge nobody when they go on", async () => {
  const fleet = new Fleet();
  const hubs = [await fleet.hub(), await fleet.hub()];
  for (const [index, hub] of hubs.entries()) {
    const wire = await agent(stage, hub, `a${index}`);
    await open(wire, `s${index}`);
    keepBeating(stage, wire, [`s${index}`]);
  }
  await sleep(TTL + GRACE);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3 * TTL);
  await sleep(LONG_ENOUGH);
  expect(await fleet.verdicts()).toEqual([]);
});
