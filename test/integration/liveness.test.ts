import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect } from "vitest";
import { Agents } from "../support/agents.ts";
import { eventually } from "../support/eventually.ts";
import { type Database, openDatabase } from "../support/log-check.ts";
import { rest } from "../support/rest.ts";
import { scaled } from "../support/scaled.ts";
import { test } from "../support/staged-test.ts";
import { startHub } from "../support/start-hub.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { agent, type Json, viewer } from "../support/wire.ts";

/** Many heartbeats long, so that a busy machine does not make agents silent. */
const TTL_MS = 2_500;
const GRACE_MS = 1_000;
const SHORT = {
  HEARTBEAT_INTERVAL_MS: "400",
  LEASE_TTL_MS: String(TTL_MS),
  LEASE_GRACE_MS: String(GRACE_MS),
};
/** What a verdict may take beyond its time. */
const VERDICT_MS = 2_000;

interface Verdict {
  readonly id: string;
  readonly to: unknown;
  readonly at: number;
  readonly patch: Json;
  readonly actor: Json;
}

/** Every change of liveness in the project's log, whatever its type. */
async function verdicts(database: Database): Promise<Verdict[]> {
  const entries = await database.entries("p");
  return entries.flatMap(({ at, changes }) =>
    changes
      .filter(({ patch }) => (patch as Json)?.liveness !== undefined)
      .map(({ id, patch, actor }) => ({ id, to: (patch as Json).liveness, at: at.getTime(), patch, actor })),
  );
}

async function said(database: Database): Promise<unknown[]> {
  return (await verdicts(database)).map(({ to }) => to);
}

const isSaid = (database: Database, ...all: unknown[]) =>
  eventually(`the verdicts ${all.join(", ")}`, async () => (await said(database)).length >= all.length).then(async () =>
    expect(await said(database)).toEqual(all),
  );

function expectBetween(value: number, least: number, most: number): void {
  expect(value).toBeGreaterThanOrEqual(least);
  expect(value).toBeLessThanOrEqual(most);
}

// At once, for they wait more than they work.
describe.concurrent("an agent that is silent", () => {
  test("[B10] [B11] [N4] its process is stopped: stale in time, lost after the grace, and back when it goes on", async ({
    stage,
  }) => {
    const uri = stage.database().uri;
    const hub = await stage.hub({ uri, env: SHORT });
    const database = await openDatabase(stage, uri);
    const agents = await Agents.start(stage, hub);
    const seen = await viewer(stage, hub);
    await seen.askOk("project:join", { project_id: "p" });
    agents.freeze();
    const stopped = performance.now();
    await isSaid(database, "stale");
    expectBetween(performance.now() - stopped, TTL_MS - 400, TTL_MS + VERDICT_MS);
    const { body: shown } = await rest(hub, "GET /sessions/s");
    const [stale] = await verdicts(database);
    expectBetween((stale?.at ?? 0) - Date.parse(shown.last_heartbeat_at), TTL_MS, TTL_MS + VERDICT_MS);
    expect(shown).toMatchObject({ liveness: "stale", display: { state: "stale" }, status: "ACTIVE" });
    await isSaid(database, "stale", "lost");
    const [, lost] = await verdicts(database);
    expectBetween((lost?.at ?? 0) - (stale?.at ?? 0), GRACE_MS, GRACE_MS + VERDICT_MS);
    expect(lost).toMatchObject({ actor: { kind: "hub", id: hub.hubId }, patch: { lost_at: expect.any(String) } });
    agents.thaw();
    await isSaid(database, "stale", "lost", "online");
    agents.tell("publish");
    expect((await agents.hears("published"))[0].answer.ok).toBe(true);
    const { body: back } = await rest(hub, "GET /sessions/s");
    expect(back).toMatchObject({ liveness: "online", incarnation: 1, metadata: { recovery_attempts: 1, op: 1 } });
    expect(back).not.toHaveProperty("lost_at");
    const frames = (await seen.hears("changes", 4)).flatMap(({ changes }) => changes);
    expect(frames.slice(0, 3)).toMatchObject(
      ["stale", "lost", "online"].map((liveness) => ({ type: "liveness", patch: { liveness } })),
    );
  });

  test("[B10] [O6] its network is gone without a word: the same, and it is back by its token", async ({ stage }) => {
    const uri = stage.database().uri;
    const hub = await stage.hub({ uri, env: SHORT });
    const database = await openDatabase(stage, uri);
    const network = await TcpProxy.before(stage, hub.port);
    await Agents.start(stage, { url: network.url, key: hub.key });
    network.freeze();
    await isSaid(database, "stale", "lost");
    // What was under way is lost; its agent notices, and comes back.
    network.cut();
    network.thaw();
    await isSaid(database, "stale", "lost", "online");
    // The log is first; nobody waited for the document.
    await eventually("REST shows it", async () => (await rest(hub, "GET /sessions/s")).body.liveness === "online");
    const { body } = await rest(hub, "GET /sessions/s");
    expect(body).toMatchObject({ incarnation: 1, metadata: { recovery_attempts: 1 } });
  });

  test("[B10] killed, its connection closed at once: judged at the same time as if it had not", async ({ stage }) => {
    const uri = stage.database().uri;
    const hub = await stage.hub({ uri, env: SHORT });
    const database = await openDatabase(stage, uri);
    const agents = await Agents.start(stage, hub);
    await agents.kill();
    const killed = Date.now();
    await isSaid(database, "stale", "lost");
    const [stale, lost] = await verdicts(database);
    expectBetween((stale?.at ?? 0) - killed, TTL_MS - 400, TTL_MS + VERDICT_MS);
    expectBetween((lost?.at ?? 0) - (stale?.at ?? 0), GRACE_MS, GRACE_MS + VERDICT_MS);
  });

  test("[B12] lost for too long it is given up, once, though two hubs look", async ({ stage }) => {
    const uri = stage.database().uri;
    const key = randomUUID();
    const settings = {
      uri,
      key,
      env: { ...SHORT, LOST_EXPIRY_MS: "1000" },
      overrides: { bounds: { lostExpirySweepMs: 100 } },
    };
    const hub = await stage.hub(settings);
    await stage.hub(settings);
    const database = await openDatabase(stage, uri);
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", { session_id: "s", project_id: "p", machine_id: "m" });
    await isSaid(database, "stale", "lost", "ended");
    const ended = (await verdicts(database)).at(-1);
    expect(ended).toMatchObject({ actor: { kind: "hub" }, patch: { status: "FAILED" } });
    expect(await wire.hears("fenced")).toEqual([{ session_id: "s", incarnation: 1, reason: "ended" }]);
    await sleep(500);
    expect(await database.entries("p")).toHaveLength(4);
  });
});

describe.concurrent("[B14] [B15] no verdict", () => {
  test("[H14] when the connection flaps for less than the ttl", async ({ stage }) => {
    const uri = stage.database().uri;
    // What they need to come back is no part of it.
    const ttlMs = 3 * TTL_MS;
    const hub = await stage.hub({ uri, env: { ...SHORT, LEASE_TTL_MS: String(ttlMs) } });
    const database = await openDatabase(stage, uri);
    const network = await TcpProxy.before(stage, hub.port);
    await Agents.start(stage, { url: network.url, key: hub.key }, { count: 5 });
    for (let flaps = 0; flaps < 5; flaps++) {
      network.cut();
      await eventually("all connections are gone", () => network.connections === 0);
      await eventually("they are back", () => network.connections === 5);
      await sleep(600);
    }
    await sleep(ttlMs + GRACE_MS);
    expect(await database.entries("p").then((entries) => entries.flatMap(({ changes }) => changes))).toHaveLength(5);
  });

  test("when the hub's process is stopped for three ttl", async ({ stage }) => {
    const uri = stage.database().uri;
    const hub = stage.add(await startHub({ mongodbUri: uri, env: SHORT }), (open) => open.kill());
    const database = await openDatabase(stage, uri);
    await Agents.start(stage, hub, { count: 20 });
    process.kill(hub.pid, "SIGSTOP");
    await sleep(3 * TTL_MS);
    process.kill(hub.pid, "SIGCONT");
    await sleep(TTL_MS + GRACE_MS + 1_000);
    expect(await said(database)).toEqual([]);
  });

  test("when the wall clock jumps by five minutes; the silent are judged in time all the same", async ({ stage }) => {
    const uri = stage.database().uri;
    let skewMs = 0;
    const hub = await stage.hub({
      uri,
      env: SHORT,
      overrides: { clock: (real) => ({ now: () => real.now() + skewMs, monotonic: () => real.monotonic() }) },
    });
    const database = await openDatabase(stage, uri);
    const agents = await Agents.start(stage, hub, { count: 3 });
    for (skewMs of [300_000, -300_000, 300_000]) await sleep(TTL_MS);
    expect(await said(database)).toEqual([]);
    agents.freeze();
    const frozen = performance.now();
    skewMs = -300_000;
    await isSaid(database, "stale", "stale", "stale");
    expectBetween(performance.now() - frozen, TTL_MS - 400, TTL_MS + VERDICT_MS);
  });

  test("from a hub that stops, nor on a session that REST created", async ({ stage }) => {
    const uri = stage.database().uri;
    const hub = await stage.hub({ uri, env: SHORT });
    const database = await openDatabase(stage, uri);
    await rest(hub, "POST /sessions", { body: { session_id: "r", machine_id: "m", project_id: "p" } });
    const agents = await Agents.start(stage, hub);
    await sleep(TTL_MS + GRACE_MS);
    agents.freeze();
    await sleep(TTL_MS - 500);
    await hub.stop();
    await sleep(TTL_MS);
    expect(await said(database)).toEqual([]);
  });
});

describe.concurrent("the lease", () => {
  test("[B13] [N1] [H6] grows with the fleet and is told to all", async ({ stage }) => {
    const env = { HEARTBEAT_INTERVAL_MS: "1000", LEASE_TTL_MS: "3000", MAX_BEATS_PER_SECOND: "1" };
    const hub = await stage.hub({ env, overrides: { bounds: { fleetCheckMs: 50 } } });
    const first = await agent(stage, hub);
    expect((await first.hears("welcome"))[0].lease).toEqual({ interval_ms: 1_000, ttl_ms: 3_000 });
    const second = await agent(stage, hub);
    const third = await agent(stage, hub);
    const told = { interval_ms: 3_052, ttl_ms: 9_155 };
    for (const wire of [first, second, third]) {
      await eventually("the lease of three", () => wire.messages("lease").at(-1)?.interval_ms === told.interval_ms);
      expect(wire.messages("lease").at(-1)).toEqual(told);
    }
    const opened = await third.askOk("session:open", { session_id: "s", machine_id: "m" });
    expect(opened.lease).toEqual(told);
    expect((await (await viewer(stage, hub)).hears("welcome"))[0].lease).toEqual(told);
    first.close();
    second.close();
    // A step above what one agent needs: the fleet may waver a little without a word.
    await eventually("the lease of one", () => third.messages("lease").at(-1)?.interval_ms === 1_250);
  });

  test("[B5] [B6] a publish renews it like a heartbeat", async ({ stage }) => {
    const uri = stage.database().uri;
    const hub = await stage.hub({ uri, env: SHORT });
    const database = await openDatabase(stage, uri);
    const wire = await agent(stage, hub);
    const { incarnation } = await wire.askOk("session:open", { session_id: "s", project_id: "p", machine_id: "m" });
    for (let op = 1; op <= 8; op++) {
      await sleep(TTL_MS / 3);
      const changes = [{ kind: "session", metadata: { op } }];
      await wire.askOk("changes:publish", { session_id: "s", incarnation, op, changes });
    }
    expect(await said(database)).toEqual([]);
    await isSaid(database, "stale");
    await wire.askOk("changes:publish", {
      session_id: "s",
      incarnation,
      op: 9,
      changes: [{ kind: "session", status: "IDLE" }],
    });
    await isSaid(database, "stale", "online");
    const heard = await wire.hears("session", 2);
    expect(heard.slice(0, 2).map(({ patch }) => patch.liveness)).toEqual(["stale", "online"]);
  });
});

// These hold up this process.
describe("[B14] [B15] no verdict", () => {
  test("when the hub's event loop is blocked for three ttl", async ({ stage }) => {
    const uri = stage.database().uri;
    const hub = await stage.hub({ uri, env: SHORT });
    const database = await openDatabase(stage, uri);
    await Agents.start(stage, hub, { count: 50 });
    for (let blocks = 0; blocks < 2; blocks++) {
      const until = performance.now() + 3 * TTL_MS;
      while (performance.now() < until);
      await sleep(TTL_MS / 2);
    }
    await sleep(TTL_MS + GRACE_MS);
    expect(await said(database)).toEqual([]);
  });

  const COUNT = scaled(1_000);

  test(`when ${COUNT} agents lose their connections and come back at once`, { timeout: 180_000 }, async ({ stage }) => {
    const uri = stage.database().uri;
    const hub = await stage.hub({ uri });
    const database = await openDatabase(stage, uri);
    const agents = await Agents.start(stage, hub, { count: COUNT, withinMs: 90_000 });
    agents.tell("drop");
    await agents.hears("open", 2, 60_000);
    // Longer than the leases of those who were back first, had nobody renewed them.
    await sleep(16_000);
    const changes = (await database.entries("p")).flatMap((entry) => entry.changes);
    expect(changes).toHaveLength(COUNT);
    expect(new Set(changes.map(({ type }) => type))).toEqual(new Set(["created"]));
  });
});
