import { Server } from "socket.io";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { EngineOutbox } from "../../server/realtime/outbox.ts";
import { eventually } from "../support/eventually.ts";
import { makeKey, shownKey } from "../support/keys.ts";
import { OwnRedis } from "../support/own-redis.ts";
import { rawJoined } from "../support/raw-socket.ts";
import { rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, dial, viewer, type Wire } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

/** For tests that leave nothing behind that another would meet. */
const sharedStage = new Stage();
let shared: TestHub;
beforeAll(async () => {
  shared = await sharedStage.hub();
});
afterAll(sharedStage.clear);

const AGENT = { role: "agent", projects: ["web"] };
const REVOKED = { code: "KEY_REVOKED", message: "the API key was revoked", reconnect: false };

/** Milliseconds until the connection has heard why and is closed. */
async function closed(wire: Wire): Promise<number> {
  const began = performance.now();
  await eventually("the connection is closed", () => !wire.socket.connected, 15_000);
  return performance.now() - began;
}

describe("managed keys", () => {
  test("[K15] [K16] [K11] a key is shown when it is made, and never again", async () => {
    const hub = shared;
    const made = await rest(hub, "POST /admin/keys", {
      body: { role: "agent", projects: ["web", "acme-*", "web"], name: "build machines" },
    });
    expect(made.status).toBe(201);
    const { key, ...view } = made.body;
    expect(view).toEqual({
      id: expect.stringMatching(/^key-[0-9a-f]{12}$/),
      source: "managed",
      fingerprint: expect.stringMatching(/^[0-9a-f]{8}$/),
      role: "agent",
      projects: ["acme-*", "web"],
      name: "build machines",
      prefix: key.slice(0, 8),
      created_at: expect.any(String),
      connections: 0,
      hubs: [],
    });
    expect(made.headers.get("location")).toBe(`/admin/keys/${view.id}`);
    expect(made.headers.get("cache-control")).toBe("no-store");
    expect(await shownKey(hub, view.id)).toEqual(view);
    expect(JSON.stringify((await rest(hub, "GET /admin/keys")).body)).not.toContain(key.slice(8));
  });

  test.each([
    [{}, "role"],
    [{ role: "root", projects: ["*"] }, "role"],
    [{ role: "agent" }, "projects"],
    [{ role: "agent", projects: [] }, "projects"],
    [{ role: "agent", projects: ["a*"] }, "projects[0]"],
    [{ role: "viewer", projects: ["web", { $ne: null }] }, "projects[1]"],
    [{ role: "operator", projects: ["web"] }, "projects"],
    [{ ...AGENT, name: "" }, "name"],
    [{ ...AGENT, name: "x".repeat(101) }, "name"],
    [{ ...AGENT, expires_at: "tomorrow" }, "expires_at"],
    [{ ...AGENT, expires_at: "2020-01-01T00:00:00Z" }, "expires_at"],
    [{ ...AGENT, expires_in_ms: 0 }, "expires_in_ms"],
    [{ ...AGENT, expires_in_ms: 1, expires_at: "2099-01-01T00:00:00Z" }, "expires_in_ms"],
  ])("[K16] %j is refused by its field", async (body, field) => {
    const answer = await rest(shared, "POST /admin/keys", { body });
    expect(answer).toMatchObject({ status: 400, body: { code: "VALIDATION", errors: [{ field }] } });
  });

  test("[K2] no, a malformed, an unknown, a revoked and an expired key get the same bytes", async () => {
    const hub = shared;
    const revoked = await makeKey(hub, AGENT);
    expect((await rest(hub, `DELETE /admin/keys/${revoked.id}`)).body).toMatchObject({
      revoked_at: expect.any(String),
    });
    const expired = await makeKey(hub, { ...AGENT, expires_in_ms: 1 });
    const unknown = `${revoked.key.slice(0, 4)}${"0".repeat(32)}1sefaA`;
    const answers = [];
    for (const key of [null, "x", unknown, revoked.key, expired.key, "a.b.c"]) {
      const { status, headers, body } = await rest(hub, "GET /sessions", { key });
      answers.push(JSON.stringify([status, headers.get("www-authenticate"), { ...body, request_id: "" }]));
    }
    expect(new Set(answers).size).toBe(1);
    expect(answers[0]).toContain("401");
  });

  test("[K16] revoking what is revoked or unknown", async () => {
    const hub = shared;
    const { id } = await makeKey(hub, AGENT);
    const first = await rest(hub, `DELETE /admin/keys/${id}`);
    expect(await rest(hub, `DELETE /admin/keys/${id}`)).toMatchObject({ status: 200, body: first.body });
    for (const unknown of ["key-000000000000", "config:00000000"]) {
      expect((await rest(hub, `DELETE /admin/keys/${unknown}`)).status).toBe(404);
    }
    expect((await rest(hub, `POST /admin/keys/${id}/rotate`, { body: { overlap_ms: 0 } })).status).toBe(410);
    expect((await rest(hub, "POST /admin/keys/key-0/rotate", { body: { overlap_ms: 0 } })).status).toBe(404);
    expect((await rest(hub, `POST /admin/keys/${id}/rotate`, { body: {} })).status).toBe(400);
  });

  test("[K17] a key that expires warns its connections, then closes them for good", async () => {
    const hub = shared;
    const key = await makeKey(hub, { ...AGENT, expires_in_ms: 3_000 });
    const wire = await agent(stage, key);
    expect(wire.messages("welcome")[0].expires_at).toBe(key.body.expires_at);
    const [warning] = await wire.hears("expiring");
    expect(warning).toMatchObject({ expires_at: key.body.expires_at, expires_in_ms: expect.any(Number) });
    await closed(wire);
    expect(wire.messages("closing")).toEqual([{ ...REVOKED, message: "the API key has expired" }]);
    expect(wire.messages("expiring")).toHaveLength(1);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(key.body.expires_at));
  });

  test("[K16] at most 1,000 keys are in force at once", async () => {
    const hub = await stage.hub({ overrides: { bounds: { managedKeys: 2 } } });
    await makeKey(hub, AGENT);
    const second = await makeKey(hub, AGENT);
    const third = await rest(hub, "POST /admin/keys", { body: AGENT });
    expect(third).toMatchObject({ status: 409, body: { code: "LIMIT_EXCEEDED" } });
    await rest(hub, `DELETE /admin/keys/${second.id}`);
    await makeKey(hub, AGENT);
  });
});

describe("rotation", () => {
  test("[K20] both keys count during the overlap; the list tells who still uses the old one", async () => {
    const { uri } = stage.database();
    const bounds = { keyUseMs: 100 };
    const [a, b] = [await stage.hub({ uri, overrides: { bounds } }), await stage.hub({ uri, overrides: { bounds } })];
    const old = await makeKey(a, { ...AGENT, name: "n", expires_in_ms: 86_400_000 });
    const keeps = await eventually("the other hub knows the key", () =>
      agent(stage, { url: b.url, key: old.key }).catch(() => undefined),
    );
    const rotated = await rest(a, `POST /admin/keys/${old.id}/rotate`, { body: { overlap_ms: 60_000 } });
    expect(rotated).toMatchObject({ status: 201, body: { role: "agent", projects: ["web"], name: "n" } });
    const lifeMs = Date.parse(rotated.body.expires_at) - Date.parse(rotated.body.created_at);
    expect(Math.abs(lifeMs - 86_400_000)).toBeLessThan(1_000);
    const moved = await agent(stage, { url: a.url, key: rotated.body.key });
    const shown = await eventually("the list knows both hubs", async () => {
      const [before, after] = [await shownKey(a, old.id), await shownKey(b, rotated.body.id)];
      return before.connections === 1 && after.connections === 1 ? { before, after } : undefined;
    });
    expect(shown.before).toMatchObject({
      replaced_by: rotated.body.id,
      hubs: [b.hubId],
      last_used_at: expect.any(String),
    });
    expect(Date.parse(shown.before.expires_at) - Date.now()).toBeLessThanOrEqual(60_000);
    expect(shown.after.hubs).toEqual([a.hubId]);
    expect(keeps.socket.connected && moved.socket.connected).toBe(true);
  });

  test("[K20] without an overlap the old key ends at once", async () => {
    const hub = shared;
    const old = await makeKey(hub, AGENT);
    const wire = await agent(stage, old);
    await rest(hub, `POST /admin/keys/${old.id}/rotate`, { body: { overlap_ms: 0 } });
    expect(await closed(wire)).toBeLessThan(3_000);
    expect(wire.messages("closing")).toMatchObject([{ code: "KEY_REVOKED", reconnect: false }]);
    expect((await rest(old, "GET /sessions")).status).toBe(401);
  });

  test("[K19] a connection goes on under the next key of the same rights", async () => {
    const hub = shared;
    const old = await makeKey(hub, { role: "viewer", projects: ["web"] });
    const wire = await viewer(stage, old);
    await wire.askOk("project:join", { project_id: "web" });
    const rotated = await rest(hub, `POST /admin/keys/${old.id}/rotate`, { body: { overlap_ms: 60_000 } });
    const others = [await makeKey(hub, AGENT), await makeKey(hub, { role: "viewer", projects: ["web", "x"] })];
    for (const { key } of others) {
      expect(await wire.ask("auth:refresh", { key })).toMatchObject({ ok: false, error: { code: "FORBIDDEN" } });
    }
    expect(await wire.ask("auth:refresh", { key: "x" })).toMatchObject({ error: { code: "UNAUTHENTICATED" } });
    expect(await wire.ask("auth:refresh", { key: rotated.body.key })).toEqual({ ok: true });
    await rest(hub, `DELETE /admin/keys/${old.id}`);
    const reporting = await agent(stage, hub);
    await reporting.askOk("session:open", { session_id: "s", machine_id: "m", project_id: "web" });
    await wire.hears("changes");
    expect(wire.socket.connected).toBe(true);
  });

  test("[K18] 100 refused keys in a minute close a connection", async () => {
    const hub = shared;
    const wire = await viewer(stage, hub);
    for (let guess = 0; guess < 100; guess++) void wire.ask("auth:refresh", { key: `guess-${guess}` }).catch(() => {});
    await closed(wire);
    expect(wire.messages("closing")).toMatchObject([{ code: "TOO_MANY_ERRORS" }]);
  });
});

describe("revoking closes connections on all hubs", () => {
  test.each([
    ["with Redis within 2 s", true, 2_000],
    ["without Redis within 6 s", false, 6_000],
  ])("[K9] [K21] %s", async (_title, hasRedis, withinMs) => {
    const { uri } = stage.database();
    const env: Record<string, string> = hasRedis ? { REDIS_URL: (await OwnRedis.start(stage)).url } : {};
    const [a, b] = [await stage.hub({ uri, env }), await stage.hub({ uri, env })];
    if (hasRedis) {
      for (const hub of [a, b]) {
        await eventually("live", async () => (await rest(hub, "GET /health/ready")).body.status === "ok");
      }
    }
    const key = await makeKey(a, { role: "agent", projects: ["web"] });
    await eventually("the other hub knows the key", async () => {
      return (await rest({ url: b.url, key: key.key }, "GET /sessions")).status === 200;
    });
    const there = { url: b.url, key: key.key };
    const wires = [await agent(stage, key), await viewer(stage, key), await viewer(stage, there)];
    const reporting = await dial(stage, there, "/agents", { auth: { agent_id: "x" }, reconnection: true });
    await reporting.askOk("session:open", { session_id: "s", machine_id: "m", project_id: "web" });
    wires.push(reporting);
    expect((await rest(a, `DELETE /admin/keys/${key.id}`)).status).toBe(200);
    const times = await Promise.all(wires.map(closed));
    for (const wire of wires) expect(wire.messages("closing")).toEqual([REVOKED]);
    expect(Math.max(...times)).toBeLessThan(withinMs);
    // Terminal: a plain client that would come back stays away.
    expect(reporting.socket.active).toBe(false);
    expect((await rest(there, "GET /sessions")).status).toBe(401);
  });

  test("[K9] what a connection asks after its key was revoked is not looked at", async () => {
    const hub = shared;
    const key = await makeKey(hub, AGENT);
    const wire = await agent(stage, key);
    wire.socket.on("closing", () => {
      wire.socket.emit("session:open", { session_id: "late", machine_id: "m", project_id: "web" }, () => {});
    });
    await rest(hub, `DELETE /admin/keys/${key.id}`);
    await closed(wire);
    expect((await rest(hub, "GET /sessions/late")).status).toBe(404);
  });

  test("[K9] a viewer that reads nothing is cut off all the same", async () => {
    const servers: Server[] = [];
    const attach = Server.prototype.attach;
    vi.spyOn(Server.prototype, "attach").mockImplementation(function (this: Server, ...args) {
      servers.push(this);
      return attach.apply(this, args);
    });
    // Large publishes: few of them fill the buffers of the operating system.
    const FILLING = 100_000;
    const hub = await stage.hub({ overrides: { limits: { frame_bytes: 2 * FILLING, metadata_bytes: 2 * FILLING } } });
    vi.restoreAllMocks();
    const key = await makeKey(hub, { role: "viewer", projects: ["web"] });
    const raw = await rawJoined(stage, key, "/viewers");
    await raw.ask("/viewers", `["project:join",{"project_id":"web"}]`);
    raw.goDeaf();
    const reporting = await agent(stage, hub);
    await reporting.askOk("session:open", { session_id: "s", machine_id: "m", project_id: "web" });
    const [socket] = servers[0]?.of("/viewers").sockets.values() ?? [];
    if (socket === undefined) throw new Error("no viewer");
    for (let op = 1; new EngineOutbox(socket.conn).bytes === 0; op++) {
      const changes = [{ kind: "session", metadata: { filling: String(op % 10).repeat(FILLING) } }];
      await reporting.askOk("changes:publish", { session_id: "s", incarnation: 1, op, changes });
    }
    const began = performance.now();
    await rest(hub, `DELETE /admin/keys/${key.id}`);
    await eventually("its connection is gone", () => socket.conn.readyState === "closed");
    expect(performance.now() - began).toBeLessThan(3_000);
  });
});
