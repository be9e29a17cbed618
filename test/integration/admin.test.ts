import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SessionDocument } from "../../server/mongo/codec.ts";
import type { HubView } from "../../shared/rest/operations.ts";
import { runCli } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { makeKey } from "../support/keys.ts";
import { type Database, openDatabase } from "../support/log-check.ts";
import { rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, type Json, viewer } from "../support/wire.ts";

const stage = new Stage();
let hub: TestHub;
let other: TestHub;
let database: Database;

beforeAll(async () => {
  const { uri } = stage.database();
  const overrides = { bounds: { keyUseMs: 100 } };
  hub = await stage.hub({ uri, overrides });
  other = await stage.hub({ uri, overrides, key: hub.key });
  database = await openDatabase(stage, uri);
});
afterAll(stage.clear);

async function ask(request: string, body?: object): Promise<Json> {
  const answer = await rest(hub, request, body === undefined ? {} : { body });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
}

const cli = (...args: string[]) => runCli(args, { env: { STATE_HUB_URL: hub.url, STATE_HUB_KEY: hub.key } });

test("[R38] hubs, figures, doctor and log level are for operators alone", async () => {
  const reader = await makeKey(hub, { role: "agent", projects: ["*"] });
  for (const path of ["hubs", "stats", "doctor"]) {
    expect((await rest(reader, `GET /admin/${path}`)).status).toBe(403);
    expect((await rest(hub, `GET /admin/${path}`, { key: null })).status).toBe(401);
    expect((await rest(hub, `POST /admin/${path}`)).status).toBe(405);
  }
  expect((await rest(reader, "POST /admin/log-level", { body: { level: "debug" } })).status).toBe(403);
});

describe("GET /admin/hubs", () => {
  const hubs = async () => {
    const { items, length } = await ask("GET /admin/hubs");
    expect(items).toHaveLength(length);
    return new Map<string, HubView>(items.map((item: HubView) => [item.hub_id, item]));
  };
  const sees = (hubId: string, fields: Partial<HubView>) =>
    eventually(`${hubId} is ${JSON.stringify(fields)}`, async () => {
      const seen: Json = (await hubs()).get(hubId) ?? {};
      return Object.entries(fields).every(([name, value]) => seen[name] === value);
    });

  test("[R78] each with its sessions and connections; this one is marked", async () => {
    const wire = await agent(stage, other);
    await wire.askOk("session:open", { session_id: "a", project_id: "p", machine_id: "m" });
    await sees(other.hubId, { state: "alive", self: false, sessions: 1, key_connections: 1 });
    await sees(hub.hubId, { state: "alive", self: true, sessions: 0, key_connections: 0 });
    const { started_at } = (await hubs()).get(other.hubId) as HubView;
    expect(Date.now() - Date.parse(started_at as string)).toBeLessThan(10 * 60_000);
    const { stdout } = await cli("hubs");
    expect(stdout).toMatch(new RegExp(`^${hub.hubId} +alive +\\S+ \\S+ ago +0 +0 +\\(answers\\)$`, "m"));
    expect(JSON.parse((await cli("hubs", "--json")).stdout)).toMatchObject({ length: 2 });
  });

  test("[R79] what is not known yet is unknown; a number that stands still is a dead hub, none at all a gone one", async () => {
    const rows = database.db.collection<{ _id: string; beat: number; started_at: Date }>("hubs");
    await rows.insertOne({ _id: "still.1", beat: 5, started_at: new Date() });
    expect((await hubs()).get("still.1")).toMatchObject({ state: "unknown", sessions: 0 });
    await sees("still.1", { state: "dead" });
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", { session_id: "b", project_id: "p", machine_id: "m" });
    const sessions = database.db.collection<SessionDocument>("sessions");
    await sessions.updateOne({ _id: "p/b" }, { $set: { hub_id: "ghost.1" } });
    await sees("ghost.1", { state: "gone", sessions: 1 });
    expect((await hubs()).get("ghost.1")).not.toHaveProperty("started_at");
    const { checks } = await ask("GET /admin/doctor?project_id=p");
    const told = checks.find(({ name }: Json) => name === "hubs");
    expect(told).toMatchObject({ ok: true, detail: expect.stringMatching(/^2 hubs alive, out: .*\bghost\.1$/) });
  });
});

test("[R80] figures are those of /metrics", async () => {
  const before = await ask("GET /admin/stats");
  await viewer(stage, hub);
  const wire = await agent(stage, hub);
  await wire.askOk("session:open", { session_id: "c", project_id: "q", machine_id: "m" });
  const after = await ask("GET /admin/stats");
  expect(after).toMatchObject({
    ...{ hub_id: hub.hubId, state: "serving", fan_out: { mode: "off", received: 0 } },
    connections: { agents: before.connections.agents + 1, viewers: 1, event_streams: 0 },
    writer: { entries: before.writer.entries + 1, changes: before.writer.changes + 1, open_jobs: 0 },
  });
  expect(after.sessions).toBe(before.sessions + 1);
  expect(after.memory.rss_bytes).toBeGreaterThan(after.memory.heap_used_bytes);
  expect(after.uptime_s).toBeLessThanOrEqual((await ask("GET /health")).uptime_s);
});

test("[R84] the log level is changed while the hub runs, and told before and after", async () => {
  const changed = await ask("POST /admin/log-level", { level: "silent", minutes: 5 });
  expect(changed).toMatchObject({ hub_id: hub.hubId, before: "silent", level: "silent", afterwards: "silent" });
  expect(await ask("POST /admin/log-level", { level: "fatal" })).toMatchObject({ before: "silent", level: "fatal" });
  expect((await ask("GET /admin/stats")).log_level).toBe("fatal");
  for (const body of [{}, { level: "loud" }, { level: "info", minutes: 0 }, { level: "info", minutes: 1_441 }]) {
    expect((await rest(hub, "POST /admin/log-level", { body })).status, JSON.stringify(body)).toBe(400);
  }
  const { stdout } = await cli("log-level", "silent", "--minutes", "10");
  const told = new RegExp(`^hub ${hub.hubId} logs at silent, until \\S+Z, then fatal; it was fatal\n$`);
  expect(stdout).toMatch(told);
  expect(await cli("log-level", "loud")).toMatchObject({ code: 2, stderr: expect.stringContaining("silent") });
  await ask("POST /admin/log-level", { level: "silent" });
});

test("[R78] [R44] a hub that is held answers them too", async () => {
  await rest(other, "POST /admin/drain", { body: { hold: true } });
  await eventually("it is held", async () => (await rest(other, "GET /admin/stats")).body.state === "held");
  const { items } = (await rest(other, "GET /admin/hubs")).body;
  expect(items.find(({ self }: HubView) => self)).toMatchObject({ hub_id: other.hubId, state: "alive" });
  expect((await rest(other, "GET /admin/doctor?project_id=q")).status).toBe(200);
  expect((await rest(other, "POST /admin/log-level", { body: { level: "silent" } })).status).toBe(200);
});
