import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import { RedisCounter } from "../../server/redis/redis-counter.ts";
import { runCli } from "../support/cli.ts";
import { readText } from "../support/documents.ts";
import { eventually } from "../support/eventually.ts";
import { makeKey } from "../support/keys.ts";
import { OwnRedis } from "../support/own-redis.ts";
import { RawSocket, rawJoined } from "../support/raw-socket.ts";
import { rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, type Json, viewer, type Wire } from "../support/wire.ts";

const stage = new Stage();
let hub: TestHub;

/** Slow enough that a whole burst is asked for before the next second's worth is there, on any machine. */
const RATES = {
  MAX_PUBLISHES_PER_SECOND: "5",
  MAX_JOINS_PER_SECOND: "2",
  MAX_KEY_PUBLISHES_PER_SECOND: "1000",
  MAX_KEY_REQUESTS_PER_SECOND: "0",
  MAX_FAILED_KEYS_PER_MINUTE: "10",
  TRUST_PROXY: "1",
};

beforeAll(async () => {
  hub = await stage.hub({ env: RATES, overrides: { bounds: { floodMs: 1_000 } } });
});
afterAll(stage.clear);

const SESSION = { session_id: "s", project_id: "p", machine_id: "m" };

/** A publish that is refused for its rate whatever it says: it is not looked at. */
const publish = (wire: Wire, op: number) =>
  wire.ask("changes:publish", {
    session_id: SESSION.session_id,
    incarnation: 1,
    op,
    changes: [{ kind: "session", metadata: { op } }],
  });

const refusals = (answers: readonly Json[]) => answers.flatMap(({ error }) => error ?? []);

describe("[L5] beyond a rate", () => {
  test("welcome tells the rates in force", async () => {
    const raw = await rawJoined(stage, hub, "/agents");
    expect(raw.messages("/agents", "welcome")[0].limits).toMatchObject({
      publishes_per_second: 5,
      key_publishes_per_second: 1000,
      joins_per_second: 2,
      key_requests_per_second: 0,
    });
  });

  test("a publish is refused with a time to come back, nothing of it is applied, and then it may be sent again", async () => {
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", SESSION);
    let op = 0;
    let answer: Json;
    do answer = await publish(wire, ++op);
    while (answer.ok);
    expect(op).toBeGreaterThan(9);
    expect(answer.error).toMatchObject({
      code: "RATE_LIMITED",
      retryable: true,
      message: "more than 5 publishes on one connection a second; wait retry_after_ms",
      details: { limit: "publishes_per_second", allowed: 5 },
    });
    expect(answer.error.retry_after_ms).toBeGreaterThanOrEqual(100);
    const { body } = await rest(hub, "GET /sessions/s?project_id=p");
    expect(body.metadata).toEqual({ op: op - 1 });
    // Another connection with the same key is not slowed.
    expect((await (await agent(stage, hub)).ask("session:open", { ...SESSION, session_id: "s2" })).ok).toBe(true);
    await eventually("the same op is taken", async () => (await publish(wire, op)).ok);
  });

  test("joins are refused, the connection stays", async () => {
    const wire = await viewer(stage, hub);
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, index) => wire.ask("project:join", { project_id: `p${index}` })),
    );
    const refused = refusals(answers);
    expect(refused.length).toBeGreaterThan(0);
    for (const error of refused) {
      expect(error).toMatchObject({ code: "RATE_LIMITED", details: { limit: "joins_per_second", allowed: 2 } });
    }
    await wire.askOk("project:leave", { project_id: "p0" });
  });

  test("[L12] who goes on at many times its rate is warned, hears closing, and is closed; it may come back", async () => {
    const raw = await rawJoined(stage, hub, "/agents");
    const packets = Array.from({ length: 50 }, (_, index) => `42/agents,${index}["changes:publish",{}]`);
    await eventually("it is closed", () => {
      if (raw.isOpen) raw.sendAtOnce(packets);
      return !raw.isOpen;
    });
    expect(raw.packets.some((packet) => packet.includes("if this goes on the connection is closed"))).toBe(true);
    expect(raw.messages("/agents", "closing")).toEqual([
      {
        code: "RATE_LIMITED",
        message: "the client went on far beyond its rate although it was refused; see welcome.limits",
        reconnect: true,
        reconnect_after_ms: 10_000,
      },
    ]);
    expect((await rawJoined(stage, hub, "/agents")).isOpen).toBe(true);
  });
});

describe("[K13] failed keys", () => {
  /** As a proxy in front would say. */
  const from = (address: string) => ({ "X-Forwarded-For": `6.6.6.6, ${address}` });
  const get = (address: string, key: string | null, path = "/sessions") =>
    rest(hub, `GET ${path}`, { key, headers: from(address) });

  test("REST: ten are told 401, then 429 with Retry-After before any key is looked at; others are not touched", async () => {
    for (let i = 0; i < 10; i++) expect((await get("10.0.0.1", randomUUID())).status).toBe(401);
    const refused = await get("10.0.0.1", randomUUID());
    expect(refused.status).toBe(429);
    expect(refused.body).toMatchObject({ code: "RATE_LIMITED", title: "Too many requests" });
    const seconds = Number(refused.headers.get("retry-after"));
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThanOrEqual(60);
    expect((await get("10.0.0.1", hub.key)).status, "a good key too").toBe(429);
    expect((await get("10.0.0.1", null, "/health")).status).toBe(200);
    const ready = await get("10.0.0.1", hub.key, "/health/ready");
    expect([ready.status, ready.body]).toEqual([200, { status: "ok" }]);
    expect((await get("10.0.0.2", hub.key)).status).toBe(200);
  });

  test("requests without a key, and good ones, count nothing", async () => {
    for (let i = 0; i < 20; i++) {
      expect((await get("10.0.0.3", null)).status).toBe(401);
      expect((await get("10.0.0.3", hub.key)).status).toBe(200);
    }
  });

  test("/health/ready is no place to try keys", async () => {
    for (let i = 0; i < 10; i++) await get("10.0.0.4", randomUUID(), "/health/ready");
    expect((await get("10.0.0.4", hub.key, "/health/ready")).body).toEqual({ status: "ok" });
    expect((await get("10.0.0.4", hub.key)).status).toBe(429);
  });

  test("WebSocket: ten are UNAUTHENTICATED, then RATE_LIMITED and closed; who is connected goes on", async () => {
    const headers = from("10.0.0.5");
    const connected = await RawSocket.open(stage, hub, { headers });
    await connected.join("/agents", { key: hub.key });
    const connect = async (auth: object) => {
      const raw = await RawSocket.open(stage, hub, { headers });
      raw.send(`40/agents,${JSON.stringify(auth)}`);
      const { data } = await raw.hears("44/agents,");
      await raw.ends();
      return data;
    };
    const auths = Array.from({ length: 10 }, (_, index) => (index % 2 === 0 ? { key: randomUUID() } : {}));
    for (const { code } of await Promise.all(auths.map(connect))) expect(code).toBe("UNAUTHENTICATED");
    const refused = await connect({ key: hub.key });
    expect(refused).toMatchObject({
      code: "RATE_LIMITED",
      message: "too many failed API keys from this address; correct the key and wait",
    });
    expect(refused.retry_after_ms).toBeGreaterThan(0);
    expect((await get("10.0.0.5", hub.key)).status, "one count for both edges").toBe(429);
    expect((await connected.ask("/agents", `["heartbeat",{"sessions":[]}]`)).ok).toBe(true);
  });
});

test("[K13] the command line says when to try again", async () => {
  for (let i = 0; i < 10; i++) await rest(hub, "GET /sessions", { key: randomUUID() });
  const run = await runCli(["sessions"], { env: { STATE_HUB_URL: hub.url, STATE_HUB_KEY: hub.key } });
  expect(run.stderr).toMatch(
    /^state-hub: the hub refused: too many failed API keys from this address; correct the key and wait \(RATE_LIMITED\); try again in \d+ s\n$/,
  );
  expect(run.code).toBe(1);
});

describe("[L13] with Redis", () => {
  test("a Redis user needs no more rights for it than docs/ARCHITECTURE.md says", async () => {
    const redis = await OwnRedis.start(stage);
    const commands = ["+evalsha", "+eval", "+set", "+incrby", "+pttl", "+expire"];
    for (const right of commands) expect(readText("docs", "ARCHITECTURE.md")).toContain(right);
    const rights = ["-@all", "+@connection", "+info", ...commands, "resetkeys", "~hubs:limits:*"];
    expect(await redis.command("ACL", "SETUSER", "hub", "on", ">word", ...rights)).toContain("OK");
    const address = { host: "127.0.0.1", port: redis.port, db: 0, username: "hub", password: "word" };
    const options = { address, prefix: "hubs", secret: "secret", bounds: BOUNDS };
    const [here, there] = ["a", "b"].map((hubId) =>
      stage.add(new RedisCounter({ ...options, hubId }), (counter) => counter.stop()),
    );
    await eventually("a hub counts", () =>
      here?.add("requests", "key-1", 3).then(
        (total) => total >= 3,
        () => false,
      ),
    );
    const before = (await here?.add("requests", "key-1", 1)) ?? 0;
    expect(await there?.add("requests", "key-1", 2)).toBe(before + 2);
    expect(await there?.add("publishes", "key-1", 5), "what else is counted").toBe(5);
  });

  test("two hubs know what the other counted; a Redis that falls silent slows and refuses nobody but those beyond the rate", async () => {
    const redis = await OwnRedis.start(stage);
    const limits = { MAX_FAILED_KEYS_PER_MINUTE: "10", MAX_KEY_REQUESTS_PER_SECOND: "10" };
    const env = { ...limits, REDIS_URL: redis.url, TRUST_PROXY: "1" };
    const options = { uri: stage.database().uri, key: randomUUID(), env };
    const a = await stage.hub({ ...options, overrides: { bounds: { sharedCountsMs: 20 } } });
    const b = await stage.hub({ ...options, overrides: { bounds: { sharedCountsMs: 20 } } });
    const get = (at: TestHub, address: string, key: string) =>
      rest(at, "GET /sessions", { key, headers: { "X-Forwarded-For": address } });

    for (let i = 0; i < 10; i++) await get(a, "10.0.0.7", randomUUID());
    expect((await get(b, "10.0.0.7", randomUUID())).status).toBe(401);
    await eventually("failures at the other hub are known", async () =>
      (await get(b, "10.0.0.7", b.key)).body.detail?.startsWith("too many failed API keys"),
    );
    const names = await redis.command("KEYS", "*limits*");
    expect(names).toMatch(/state-hub[\w-]*:limits:failures:[0-9a-f]{24}/);
    expect(names).not.toContain("10.0.0.7");

    redis.freeze();
    for (let i = 0; i < 10; i++) expect((await get(a, "10.0.0.8", a.key)).status).toBe(200);
    // Each hub counts for itself.
    for (let i = 0; i < 10; i++) expect((await get(a, "10.0.0.9", randomUUID())).status).toBe(401);
    expect((await get(a, "10.0.0.9", a.key)).status).toBe(429);

    const busy = await makeKey({ url: a.url, key: a.key }, { role: "viewer", projects: ["*"] });
    const answers = await Promise.all(Array.from({ length: 150 }, () => rest(busy, "GET /sessions")));
    const refused = answers.filter(({ status }) => status !== 200);
    expect(refused.length).toBeGreaterThan(0);
    for (const { status, headers, body } of refused) {
      expect(status).toBe(429);
      expect(Number(headers.get("retry-after"))).toBeGreaterThan(0);
      const details = { limit: "key_requests_per_second", allowed: 10 };
      expect(body).toMatchObject({ code: "RATE_LIMITED", details });
    }
    expect((await get(a, "10.0.0.8", a.key)).status, "another key is not slowed").toBe(200);
    redis.thaw();
  });
});
