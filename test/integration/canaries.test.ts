import { randomBytes, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { mongo } from "mongoose";
import { afterEach, describe, expect, inject, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { OwnRedis } from "../support/own-redis.ts";
import { RawSocket } from "../support/raw-socket.ts";
import { metricsOf, rawHttp, rest } from "../support/rest.ts";
import { attemptStart } from "../support/start-attempt.ts";
import { type HubProcess, startHub } from "../support/start-hub.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { Stage } from "../support/test-hub.ts";
import { agent, viewer } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

const word = (name: string) => `canary-${name}-${randomBytes(6).toString("hex")}`;

/** Secrets that nobody but their owner may see, and content that belongs to a project. */
const SECRET = {
  key: randomUUID(),
  wrongKey: randomUUID(),
  mongodbPassword: word("mongodb"),
  redisPassword: word("redis"),
};
const CONTENT = { metadata: word("metadata"), question: word("question"), activity: word("activity") };
/** Given by the hub. */
const given = { token: "" };

/** Which canaries stand in a text. */
function found(text: string, canaries: Readonly<Record<string, string>>): string[] {
  return Object.entries(canaries).flatMap(([name, canary]) => (canary !== "" && text.includes(canary) ? [name] : []));
}

const secrets = () => ({ ...SECRET, ...given });
const everything = () => ({ ...secrets(), ...CONTENT });

/** What libraries would print everything for. */
const LOUD = { DEBUG: "*", MONGODB_LOG_ALL: "debug", LOG_LEVEL: "trace" };

interface Scene {
  readonly hubs: readonly [HubProcess, HubProcess];
  readonly mongodb: TcpProxy;
  readonly redis: OwnRedis;
  readonly db: mongo.Db;
  /** All that went through Redis. */
  redisTraffic(): string;
}

/** Two hubs on a MongoDB and a Redis that ask for passwords. */
async function openScene(): Promise<Scene> {
  const database = stage.database();
  const client = stage.add(await mongo.MongoClient.connect(database.uri), (open) => open.close());
  const db = client.db();
  await db.command({ createUser: "hub", pwd: SECRET.mongodbPassword, roles: ["dbOwner"] });
  stage.add(db, () => db.command({ dropUser: "hub" }));
  const mongodb = await TcpProxy.before(stage, Number(new URL(inject("mongodbUri")).port));
  const redis = await OwnRedis.absent(stage);
  await redis.start("--requirepass", SECRET.redisPassword);
  const traffic = monitor(redis.port);
  const login = `hub:${SECRET.mongodbPassword}`;
  const mongodbUri = `mongodb://${login}@${new URL(mongodb.url).host}/${db.databaseName}?directConnection=true`;
  const env = { ...LOUD, REDIS_URL: `redis://:${SECRET.redisPassword}@127.0.0.1:${redis.port}` };
  const start = async () => {
    const hub = await startHub({ mongodbUri, key: SECRET.key, env });
    return stage.add(hub, () => hub.stop());
  };
  return { hubs: [await start(), await start()], mongodb, redis, db, redisTraffic: traffic };
}

function monitor(port: number): () => string {
  let text = "";
  const socket = stage.add(createConnection(port, "127.0.0.1"), (open) => open.destroy());
  socket.on("error", () => {});
  socket.setEncoding("latin1").on("data", (chunk: string) => {
    text += chunk;
  });
  socket.write(`AUTH ${SECRET.redisPassword}\r\nMONITOR\r\n`);
  return () => text;
}

const OPEN = { session_id: "s", project_id: "ours", machine_id: "m", metadata: { text: CONTENT.metadata } };

/** What an agent says when all is well, and comes back with its token. */
async function work(hub: HubProcess): Promise<void> {
  const wire = await agent(stage, hub, "worker");
  const opened = await wire.askOk("session:open", OPEN);
  given.token = opened.token;
  const waiting_for = { kind: "input", question: CONTENT.question, options: [CONTENT.metadata] };
  const changes = [
    { kind: "session", status: "WAITING", waiting_for },
    { kind: "task", task_id: "t", title: CONTENT.metadata, metadata: { text: `\u001b[31m\r\n${CONTENT.metadata}` } },
  ];
  await wire.askOk("changes:publish", { session_id: "s", incarnation: 1, op: 1, changes });
  await wire.askOk("heartbeat", { sessions: [{ session_id: "s", incarnation: 1, activity: CONTENT.activity }] });
  const again = await agent(stage, hub, "worker");
  await again.askOk("session:open", { ...OPEN, incarnation: 1, token: given.token });
  // Refusals of every kind, with content in them.
  await again.ask("changes:publish", { session_id: "s", incarnation: 1, op: 2, changes: [{ kind: CONTENT.metadata }] });
  await again.ask("session:open", { ...OPEN, session_id: "x", metadata: { __proto__: 1, $set: CONTENT.metadata } });
  await again.ask("session:open", { ...OPEN, session_id: `${CONTENT.metadata} ${SECRET.key}` });
  await again.ask(`nonsense-${SECRET.key}`, { text: CONTENT.metadata });
  const late = {
    session_id: "s",
    incarnation: 1,
    op: 1,
    changes: [{ kind: "task", task_id: "no", status: "PENDING" }],
  };
  await again.ask("changes:publish", { ...late, op: 9, token: given.token });
}

/** Frames that no client sends, each on a connection of its own. */
async function speakBadly(hub: HubProcess): Promise<void> {
  const { key } = hub;
  const auth = JSON.stringify({ key });
  for (const frame of [
    `42/agents,1["session:open",{"session_id":"s","metadata":{"text":"${CONTENT.metadata}"}`,
    `42/agents,1["${key}",{"key":"${key}"}]`,
    `42/agents,1["disconnect",{"key":"${key}"}]`,
    `43/agents,1{"key":"${key}","text":"${CONTENT.metadata}"}`,
    `451-/agents,["session:open",{"key":"${key}"}]`,
    `9${key}`,
    `40/viewers,${auth}`,
    `40/${key},${auth}`,
    new Uint8Array(Buffer.from(`{"key":"${key}"}`)),
    `42/agents,1["heartbeat",{"text":"${CONTENT.metadata}","x":"${"x".repeat(40_000)}"}]`,
  ]) {
    const socket = await RawSocket.open(stage, hub);
    await socket.join("/agents", { key, agent_id: "bad" });
    socket.send(frame);
    socket.send('42/agents,2["session:close",{}]');
    await eventually("an answer or the end", () => !socket.isOpen || socket.packets.length > 3, 5_000).catch(() => {});
    socket.vanish();
  }
  for (const [frame, options] of [
    [`40/agents,${JSON.stringify({ key: SECRET.wrongKey, client: CONTENT.metadata })}`, {}],
    [`40/agents,${JSON.stringify({ key: [SECRET.wrongKey] })}`, {}],
    [`40/agents,${auth}`, { query: `&key=${key}&token=${given.token}` }],
    [`40/agents,${auth}`, { headers: { "X-Api-Key": SECRET.wrongKey, Authorization: `Bearer ${key}` } }],
    [`40${auth}`, { headers: { "X-Api-Key": key, Cookie: `key=${key}` } }],
  ] as const) {
    const socket = await RawSocket.open(stage, hub, options);
    socket.send(frame);
    await socket.ends(3_000);
  }
  const options = { headers: { Origin: `https://${CONTENT.metadata}.example`, "X-Api-Key": key } };
  await RawSocket.open(stage, hub, options).catch(() => {});
}

/** Over REST, right and wrong. */
async function ask(hub: HubProcess): Promise<void> {
  const { key } = hub;
  const headers = { "Content-Type": "application/json", "X-Forwarded-For": "6.6.6.6", "User-Agent": key };
  const body = { session_id: "r", project_id: "ours", machine_id: "m", metadata: { text: CONTENT.metadata } };
  await rest(hub, "POST /sessions", { body, headers });
  await rest(hub, "POST /sessions", { body: { ...body, metadata: { text: `${CONTENT.metadata}2` } } });
  await rest(hub, "PATCH /sessions/r?project_id=ours", { body: { metadata: { text: CONTENT.question } } });
  await rest(hub, "PATCH /sessions/r", { body: { status: CONTENT.metadata }, headers: { "If-Match": key } });
  await rest(hub, "POST /sessions", { raw: `{"session_id":"${CONTENT.metadata}" "${key}"`, headers });
  await rest(hub, "POST /sessions", { raw: `"${CONTENT.metadata}${"x".repeat(40_000)}"`, headers });
  await rest(hub, "GET /sessions", { key: SECRET.wrongKey });
  await rest(hub, "GET /sessions", { key: SECRET.wrongKey, headers: { Authorization: `Bearer ${key}` } });
  await rest(hub, `GET /sessions?key=${key}&project_id=${CONTENT.metadata}`);
  await rest(hub, `GET /sessions?status=${key}&cursor=${given.token.slice(0, 40)}`);
  const head = `GET /sessions HTTP/1.1\r\nHost: x\r\nX-Api-Key: ${key}\r\n`;
  await rawHttp(hub, `${head}X-Long: ${key.repeat(1_000)}\r\n\r\n`);
  const odd = await rawHttp(hub, `${head}Connection: close\r\nX-Request-Id: \u001b[31m${key}\r\n\r\n`);
  expect(odd).toMatch(/X-Request-Id: [0-9a-f-]{36}\r\n/);
  expect(odd).not.toContain(key);
  await rawHttp(hub, `${head}Not a header ${key}\r\n\r\n`);
  await rawHttp(hub, `POST /sessions HTTP/1.1\r\nX-Api-Key: ${key}\r\nHost: x\r\nContent-Length: x${key}\r\n\r\n`);
}

/** Documents that no hub writes: reading them is a bug in this hub's eyes. */
async function breakInside({ hubs: [hub], db }: Scene): Promise<void> {
  const content = { metadata: { text: CONTENT.metadata }, waiting_for: { question: CONTENT.question } };
  const corrupt = { _id: "ours/corrupt", session_id: "corrupt", project_id: "ours", created_at: 5, ...content };
  await db.collection<{ _id: string }>("sessions").insertOne(corrupt);
  expect((await rest(hub, "GET /sessions/corrupt?project_id=ours")).status).toBe(500);
  const key = { p: "corrupt", s: 1 };
  const entry = { _id: key, to_seq: 1, epoch: "e", hub_id: "h", at: CONTENT.metadata, changes: [{ patch: content }] };
  await db.collection<{ _id: object }>("log").insertOne(entry);
  const wire = await viewer(stage, hub);
  expect(await wire.ask("project:join", { project_id: "corrupt" })).toMatchObject({ ok: false });
}

/** MongoDB and Redis away, silent, back, and of another mind about the password. */
async function breakOutside({ hubs: [hub, other], mongodb, redis }: Scene): Promise<void> {
  const wire = await agent(stage, hub, "patient");
  await wire.askOk("session:open", { ...OPEN, session_id: "patient" });
  const publish = (op: number) => {
    const changes = [{ kind: "session", metadata: { text: `${CONTENT.metadata} ${op}` } }];
    return wire.ask("changes:publish", { session_id: "patient", incarnation: 1, op, changes });
  };
  mongodb.cut();
  await publish(1);
  mongodb.freeze();
  const [answer] = await Promise.all([publish(2), rest(hub, "GET /sessions?project_id=ours")]);
  expect(answer).toMatchObject({ ok: false, error: { code: "UNAVAILABLE" } });
  mongodb.thaw();
  mongodb.cut();
  await eventually("the publish is settled", async () => (await publish(2)).ok === true, 30_000);
  await redis.kill();
  await publish(3);
  await redis.start("--requirepass", "another");
  const isRefused = async () => (await rest(other, "GET /health/ready")).body.checks?.redis?.trouble?.includes("PASS");
  await eventually("Redis refuses the password", isRefused, 15_000);
  await publish(4);
}

/** What somebody sees who has nothing to do with the project: without a key, and with one in another project. */
async function lookFromElsewhere(hub: HubProcess): Promise<() => string> {
  const watcher = await viewer(stage, hub);
  await watcher.askOk("project:join", { project_id: "elsewhere", heartbeats: true });
  const answers: unknown[] = [];
  for (const [request, key] of [
    ["GET /health", null],
    ["GET /health/ready", null],
    ["GET /health/ready", hub.key],
    ["GET /sessions", null],
    ["GET /sessions?project_id=elsewhere", hub.key],
    ["GET /tasks?project_id=elsewhere", hub.key],
    ["GET /sessions/s?project_id=elsewhere", hub.key],
    ["GET /sessions/s/changes?project_id=elsewhere", hub.key],
    ["GET /projects/elsewhere/snapshot", hub.key],
    ["GET /nowhere", hub.key],
  ] as const) {
    const { body, headers } = await rest(hub, request, { key });
    answers.push(body, [...headers]);
  }
  return () => JSON.stringify([answers, watcher.heard]);
}

describe("canaries", { timeout: 240_000 }, () => {
  test("[K11] [K27] go through every path and every fault, and come out nowhere", async () => {
    const scene = await openScene();
    const [hub, other] = scene.hubs;
    const seen = await lookFromElsewhere(hub);
    await work(hub);
    expect(given.token.length).toBeGreaterThan(10);
    await speakBadly(hub);
    await ask(hub);
    await eventually("the other hub has heard of it", () => found(scene.redisTraffic(), CONTENT).length >= 2);
    const traffic = scene.redisTraffic();
    await breakInside(scene);
    await breakOutside(scene);
    const seenAfter = await lookFromElsewhere(other);
    const metrics = await Promise.all(scene.hubs.map(metricsOf));
    for (const { pid } of scene.hubs) {
      if (process.platform !== "linux") continue;
      for (const file of ["cmdline", "comm"])
        expect(found(readFileSync(`/proc/${pid}/${file}`, "utf8"), everything())).toEqual([]);
    }
    await hub.stop();
    await other.stop();

    for (const text of metrics) {
      expect(text).toMatch(/^statehub_messages_total{.*event="unknown"/m);
      expect(text).toMatch(/^process_cpu_seconds_total /m);
      expect(found(text, { ...everything(), project: "ours", elsewhere: "elsewhere", agent: "patient" })).toEqual([]);
    }
    expect(metrics[0]).toMatch(/^statehub_failed_keys_total [1-9]/m);

    for (const output of [hub.output(), other.output()]) {
      expect(output).toContain("DEBUG, MONGODB_LOG_ALL ignored");
      expect(found(output, everything())).toEqual([]);
      // Nothing that a terminal would act on, and no line that is not the hub's own.
      expect(output).not.toContain("\u001b");
      const lines = output.split("\n").filter((line) => line !== "" && !line.startsWith("state-hub: DEBUG"));
      for (const line of lines) expect(() => JSON.parse(line), line).not.toThrow();
    }
    // All that has to be there was: else nothing was proven.
    for (const message of ["request", "a request failed", "append unanswered", "Redis"])
      expect(hub.output()).toContain(message);
    expect(hub.output()).not.toContain("6.6.6.6");
    for (const text of [seen(), seenAfter()]) expect(found(text, everything())).toEqual([]);
    // Between hubs go entries, content included; that is what Redis is for, and it belongs into the hubs' own network.
    expect(found(traffic, secrets())).toEqual([]);
    expect(found(scene.redisTraffic(), secrets())).toEqual([]);
  });

  test("[K27] with DEBUG_UNSAFE=1 libraries do print keys: the canaries can be found", async () => {
    const { uri } = stage.database();
    const hub = await startHub({
      mongodbUri: uri,
      key: SECRET.key,
      env: { DEBUG: "engine*,socket.io*", DEBUG_UNSAFE: "1" },
    });
    stage.add(hub, () => hub.stop());
    await agent(stage, hub);
    await eventually("the key is printed", () => found(hub.output(), SECRET).includes("key"));
    expect(hub.output()).toContain("DEBUG_UNSAFE: libraries may print keys");
  });

  test.each([
    ["MongoDB that refuses the password", { MONGODB_URI: `mongodb://hub:${SECRET.mongodbPassword}@127.0.0.1:1/db` }],
    ["a URI that is none", { MONGODB_URI: `mongo://hub:${SECRET.mongodbPassword}@h/db` }],
    ["a Redis URL that is none", { REDIS_URL: `http://:${SECRET.redisPassword}@h` }],
    ["keys that are none", { API_KEYS: `${SECRET.key},${SECRET.wrongKey}x` }],
    ["the same key twice", { API_KEYS: `${SECRET.key},${SECRET.key}` }],
  ])("[K27] a start that fails, %s, shows none, with DEBUG=* either", async (_what, env) => {
    const attempt = await attemptStart(stage, {
      PORT: "0",
      API_KEYS: SECRET.key,
      MONGODB_URI: "mongodb://127.0.0.1:1/db",
      ...LOUD,
      ...env,
    });
    expect(attempt.code).toBe(1);
    expect(attempt.stderr).toMatch(/^state-hub: DEBUG, MONGODB_LOG_ALL ignored.*\nstate-hub: \S.*$/);
    expect(found(attempt.stderr + attempt.stdout, everything())).toEqual([]);
  });
});
