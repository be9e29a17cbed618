import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { connectAgent } from "../../client/agent.ts";
import { followProject } from "../../client/follower.ts";
import type { ChangeLog } from "../../server/ports.ts";
import { Balancer } from "../support/balancer.ts";
import { runCli } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { openDatabase } from "../support/log-check.ts";
import { OwnMongod } from "../support/own-mongod.ts";
import { rest } from "../support/rest.ts";
import { Stage, startTestHub, type TestHub } from "../support/test-hub.ts";
import { agent, dial, type Json, viewer } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

const SESSION = { session_id: "s", project_id: "p", machine_id: "m" };
const publish = (op: number, sessionId = "s") => ({
  ...{ session_id: sessionId, incarnation: 1, op },
  changes: [{ kind: "session", metadata: { op } }],
});

/** Appends wait until the gate is opened. */
function gate() {
  let opening = Promise.withResolvers<void>();
  opening.resolve();
  const changeLog = (real: ChangeLog): ChangeLog =>
    new Proxy(real, {
      get: (target, name) => {
        const member = Reflect.get(target, name) as (...args: unknown[]) => unknown;
        if (name !== "append") return member.bind(target);
        return async (...args: unknown[]) => {
          await opening.promise;
          return member.apply(target, args);
        };
      },
    });
  const shut = () => {
    opening = Promise.withResolvers<void>();
  };
  return { changeLog, shut, open: () => opening.resolve() };
}

async function held(hub: TestHub): Promise<void> {
  expect(await rest(hub, "POST /admin/drain", { body: { hold: true } })).toMatchObject({
    status: 202,
    body: { state: "draining", hold: true },
  });
  await eventually("the hub is held", async () => (await rest(hub, "GET /admin/drain")).body.state === "held");
}

describe("a hub that drains", () => {
  test("[N8] [R7] [D10] refuses everything new at once, and acks what is under way before anybody is moved", async () => {
    const { changeLog, shut, open } = gate();
    const hub = await stage.hub({ overrides: { changeLog } });
    const working = await agent(stage, hub, "working");
    await working.askOk("session:open", SESSION);
    const other = await agent(stage, hub, "other");
    await other.askOk("session:open", { ...SESSION, session_id: "o" });
    const watching = await viewer(stage, hub);
    shut();
    const order: string[] = [];
    working.socket.on("drain", () => order.push("drain"));
    const acked = working.ask("changes:publish", publish(1)).then((answer) => {
      order.push("ack");
      return answer;
    });
    await eventually("the publish is under way", async () => {
      return (await rest(hub, "GET /admin/drain")).body.under_way === 1;
    });
    const stopped = hub.stop();

    expect(await rest(hub, "GET /health/ready", { key: null })).toMatchObject({ status: 503 });
    expect(await rest(hub, "GET /health", { key: null })).toMatchObject({ status: 200 });
    const created = await rest(hub, "POST /sessions", { body: { session_id: "r", machine_id: "m" } });
    expect(created).toMatchObject({ status: 503, body: { code: "DRAINING" } });
    expect(created.headers.get("retry-after")).toBe("1");
    expect(await rest(hub, "GET /sessions"), "what the hub knows it still tells").toMatchObject({ status: 200 });
    const refusals: Json[] = await Promise.all([
      other.ask("changes:publish", publish(1, "o")),
      other.ask("session:open", { ...SESSION, session_id: "n" }),
      other.ask("session:close", { session_id: "o", incarnation: 1, op: 1, status: "COMPLETED" }),
      watching.ask("project:join", { project_id: "p" }),
    ]);
    for (const { ok, error } of refusals) {
      expect({ ok, ...error }).toMatchObject({ ok: false, code: "DRAINING", retryable: true, retry_after_ms: 1_000 });
    }
    await expect(dial(stage, hub, "/agents")).rejects.toMatchObject({
      data: { code: "DRAINING", retry_after_ms: 1_000 },
    });
    expect(order).toEqual([]);

    open();
    expect(await acked).toMatchObject({ ok: true, seq: 3 });
    await stopped;
    expect(order).toEqual(["ack", "drain"]);
  });

  test("[N6] [F18] [H7] [H8] asks everybody to move, and closes who stays so that a plain client comes back", async () => {
    const hub = await stage.hub();
    const clients = await Promise.all([agent(stage, hub, "a"), viewer(stage, hub)]);
    const ends = clients.map(({ socket }) => new Promise<string>((resolve) => socket.once("disconnect", resolve)));
    await hub.stop();
    // Not by the namespace, which would tell the library's client to stay away.
    expect(await Promise.all(ends)).toEqual(["transport close", "transport close"]);
    for (const client of clients) {
      const [drain, closing] = client.heard.slice(-2);
      expect(drain).toEqual({ event: "drain", message: { reconnect_after_ms: expect.any(Number) } });
      expect(closing).toMatchObject({ event: "closing", message: { code: "DRAINING", reconnect: true } });
    }
  });

  test("[N8] last heartbeats and marks are written, the hub's row is gone", async () => {
    const uri = stage.database().uri;
    const hub = await stage.hub({ uri });
    const wire = await agent(stage, hub, "a");
    await wire.askOk("session:open", SESSION);
    await wire.askOk("heartbeat", { sessions: [{ session_id: "s", incarnation: 1, activity: "the last thing" }] });
    await hub.stop();
    const { db } = await openDatabase(stage, uri);
    expect(await db.collection("hubs").countDocuments()).toBe(0);
    expect(await db.collection("beats").findOne()).toMatchObject({ heartbeat: { activity: "the last thing" } });
    expect(await db.collection("projects").findOne()).toMatchObject({ projected_seq: 1 });
  });

  test("[N6] [F18] [N8] [Y3] agents and followers of the SDK go over to the other hub: nothing lost, nobody judged", async () => {
    const uri = stage.database().uri;
    const key = randomUUID();
    const lease = { HEARTBEAT_INTERVAL_MS: "300", LEASE_TTL_MS: "2500", LEASE_GRACE_MS: "2500" };
    const hubs = [await stage.hub({ uri, key, env: lease }), await stage.hub({ uri, key, env: lease })] as const;
    const balancer = await Balancer.start(stage, hubs);
    const database = await openDatabase(stage, uri);
    const agents = Array.from({ length: 6 }, (_, index) =>
      stage.add(connectAgent({ url: balancer.url, key, agentId: `a${index}` }), (open) => open.disconnect()),
    );
    const sessions = agents.map((one, index) => one.open({ sessionId: `s${index}`, projectId: "p", machineId: "m" }));
    await Promise.all(sessions.map(({ ready }) => ready));
    const followers = Array.from({ length: 3 }, () => {
      const follower = followProject({ url: balancer.url, key, projectId: "p" });
      return stage.add(follower, (open) => open.close());
    });
    await Promise.all(followers.map((one) => one.ready));
    const acked: string[] = [];
    let isOver = false;
    const publishing = sessions.map(async (session) => {
      for (let n = 1; !isOver; n++) {
        await session.publish([{ kind: "session", metadata: { n } }]);
        acked.push(`${session.sessionId}/${n}`);
      }
    });
    await eventually("work", () => acked.length > 30);
    await hubs[0].stop();
    const stoppedAt = acked.length;
    await eventually("work goes on elsewhere", () => acked.length > stoppedAt + 30);
    isOver = true;
    await Promise.all(publishing);

    const changes = (await database.entries("p")).flatMap((entry) => entry.changes as Json[]);
    const logged = changes.flatMap(({ id, patch }) => (patch?.metadata?.n ? [`${id}/${patch.metadata.n}`] : []));
    expect(logged.toSorted()).toEqual(acked.toSorted());
    await sleep(2_500 + 2_500 + 1_000);
    const after = (await database.entries("p")).flatMap((entry) => entry.changes as Json[]);
    expect(after.filter(({ type }) => type === "liveness")).toEqual([]);
    const head = after.at(-1)?.seq;
    await eventually("all followers are level", () => followers.every(({ position }) => position.seq === head));
    const documents = await database.db.collection("sessions").find().sort({ _id: 1 }).toArray();
    for (const follower of followers) {
      const mirrored = [...follower.sessions.values()].toSorted((a, b) => a.session_id.localeCompare(b.session_id));
      expect(mirrored.map(({ session_id, version, metadata }) => ({ session_id, version, metadata }))).toEqual(
        documents.map(({ session_id, version, metadata }) => ({ session_id, version, metadata })),
      );
    }
  });

  test("[N8] a MongoDB that falls silent does not hold it up: it ends in time and says what was still open", async () => {
    const mongod = await OwnMongod.start(stage);
    const hub = await startTestHub({ uri: mongod.uri("silent"), overrides: { bounds: { stopAtMostMs: 2_000 } } });
    const wire = await agent(stage, hub, "a");
    await wire.askOk("session:open", SESSION);
    mongod.freeze();
    const begunAt = performance.now();
    await expect(hub.stop()).rejects.toThrow(
      /not stopped within 2 s; still open: clients and requests under way, .*MongoDB/,
    );
    expect(performance.now() - begunAt).toBeLessThan(3_000);
    mongod.thaw();
  });
});

describe("a hub that is held", () => {
  test("[R43] [R44] is without clients and refuses everything until it is resumed", async () => {
    const uri = stage.database().uri;
    const hub = await stage.hub({ uri });
    const { db } = await openDatabase(stage, uri);
    const wire = await agent(stage, hub, "a");
    const { token } = await wire.askOk("session:open", SESSION);
    await held(hub);
    expect(wire.socket.connected).toBe(false);
    expect(await db.collection("hubs").countDocuments()).toBe(0);
    expect(await rest(hub, "GET /health/ready", { key: null })).toMatchObject({ status: 503 });
    expect(await rest(hub, "GET /health", { key: null })).toMatchObject({ status: 200 });
    for (const request of ["GET /sessions", "GET /sessions/s", "POST /sessions", "GET /projects/p/snapshot"]) {
      const refused = await rest(hub, request, request.startsWith("POST") ? { body: {} } : {});
      expect(refused, request).toMatchObject({ status: 503, body: { code: "DRAINING" } });
      expect(refused.headers.get("retry-after")).toBe("1");
    }
    await expect(dial(stage, hub, "/viewers")).rejects.toMatchObject({ data: { code: "DRAINING" } });
    expect((await rest(hub, "POST /admin/drain", { body: { hold: true } })).body, "once more is no harm").toMatchObject(
      {
        state: "held",
      },
    );

    expect(await rest(hub, "POST /admin/resume")).toMatchObject({
      status: 200,
      body: { state: "serving", hold: false },
    });
    expect(await rest(hub, "POST /admin/resume")).toMatchObject({ status: 200, body: { state: "serving" } });
    expect(await rest(hub, "GET /health/ready", { key: null })).toMatchObject({ status: 200 });
    expect(await db.collection("hubs").countDocuments()).toBe(1);
    const back = await agent(stage, hub, "a");
    expect(await back.askOk("session:open", { ...SESSION, incarnation: 1, token })).toMatchObject({ resumed: true });
    await back.askOk("changes:publish", publish(1));
  });

  test("[R44] [B14] after it, agents have a whole ttl to come back; who does not is judged as ever", async () => {
    const uri = stage.database().uri;
    const TTL = 1_500;
    const env = { HEARTBEAT_INTERVAL_MS: "500", LEASE_TTL_MS: String(TTL), LEASE_GRACE_MS: "60000" };
    const hub = await stage.hub({ uri, env });
    const database = await openDatabase(stage, uri);
    const liveness = async () => (await database.session("p", "s"))?.liveness;
    await (await agent(stage, hub, "a")).askOk("session:open", SESSION);
    await held(hub);
    await sleep(TTL + 1_000);
    expect(await liveness()).toBe("online");
    await rest(hub, "POST /admin/resume");
    const resumedAt = performance.now();
    await eventually("it is stale", async () => (await liveness()) === "stale");
    expect(performance.now() - resumedAt).toBeGreaterThan(TTL - 50);
  });

  test("[R43] [R44] is stopped like any other, also in the middle of its drain; it cannot be resumed then", async () => {
    const hub = await stage.hub();
    await agent(stage, hub, "a");
    await rest(hub, "POST /admin/drain", { body: { hold: true } });
    expect(await rest(hub, "POST /admin/resume"), "not while it drains").toMatchObject({
      status: 503,
      body: { code: "DRAINING" },
    });
    expect(await rest(hub, "POST /admin/drain")).toMatchObject({
      status: 202,
      body: { state: "draining", hold: false },
    });
    expect((await rest(hub, "POST /admin/drain", { body: { hold: true } })).body.hold).toBe(false);
    await hub.stop();
    await expect(fetch(`${hub.url}/health`)).rejects.toThrow();
  });

  test("[R43] [R44] only operators may, and only well-formed requests", async () => {
    const hub = await stage.hub();
    for (const request of ["GET /admin/drain", "POST /admin/drain", "POST /admin/resume"]) {
      expect(await rest(hub, request, { key: null }), request).toMatchObject({ status: 401 });
    }
    for (const options of [{ body: { hold: "yes" } }, { raw: "{", headers: { "Content-Type": "application/json" } }]) {
      expect(await rest(hub, "POST /admin/drain", options)).toMatchObject({
        status: 400,
        body: { code: "VALIDATION" },
      });
    }
    expect(await rest(hub, "DELETE /admin/drain")).toMatchObject({ status: 405 });
    expect((await rest(hub, "GET /admin/drain")).body).toEqual({
      ...{ hub_id: hub.hubId, state: "serving", hold: false },
      ...{ under_way: 0, connections: 0, connections_before: 0 },
    });
  });
});

describe("state-hub drain and resume", () => {
  const cli = (hub: TestHub, ...args: string[]) =>
    runCli(args, { env: { STATE_HUB_URL: hub.url, STATE_HUB_KEY: hub.key } });

  test("[R43] drain ends the hub, says what is left, and that it is gone", async () => {
    const hub = await stage.hub();
    await Promise.all([agent(stage, hub), viewer(stage, hub)]);
    const run = await cli(hub, "drain");
    expect(run).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^hub \S+ has gone; 2 connections moved in [\d.]+ s\n$/),
    });
    expect(run.stderr).toMatch(/draining: \d requests? under way, \d of 2 connections left/);
    await hub.stop();
    expect(await cli(hub, "drain")).toMatchObject({ code: 3, stderr: expect.stringContaining("no hub answers") });
  });

  test("[R43] [R44] drain --hold and resume, with --json", async () => {
    const hub = await stage.hub();
    const first = await cli(hub, "drain", "--hold", "--json");
    expect(first.code).toBe(0);
    expect(JSON.parse(first.stdout)).toMatchObject({ hub_id: hub.hubId, state: "held", connections_before: 0 });
    const second = await cli(hub, "resume", "--json");
    expect(second.code).toBe(0);
    expect(JSON.parse(second.stdout)).toEqual({ hub_id: hub.hubId, state: "serving" });
    expect(await cli(hub, "resume")).toMatchObject({ code: 0, stdout: `hub ${hub.hubId} is in service\n` });
  });
});
