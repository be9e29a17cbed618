import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { io } from "socket.io-client";
import { afterEach, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { OwnRedis } from "../support/own-redis.ts";
import { RedisProxy } from "../support/redis-proxy.ts";
import { rest } from "../support/rest.ts";
import { startHub } from "../support/start-hub.ts";
import { Stage, type TestHub, type TestHubOptions } from "../support/test-hub.ts";
import { agent, type Json, viewer, type Wire } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

/** Heads are compared so seldom that only Redis can bring a change in time. */
const NO_POLLS = { headPollMs: 60_000, headPollLiveMs: 60_000 };

interface Scene {
  readonly redis: OwnRedis;
  readonly hubs: readonly TestHub[];
}

/** Hubs on one MongoDB and one Redis of their own. */
async function hubsOn(
  redis: { readonly url: string },
  options: Partial<TestHubOptions> = {},
  count = 2,
): Promise<TestHub[]> {
  const shared = { uri: stage.database().uri, key: randomUUID(), ...options };
  const hubs: TestHub[] = [];
  for (let index = 0; index < count; index++) {
    hubs.push(await stage.hub({ ...shared, env: { REDIS_URL: redis.url, ...options.env } }));
  }
  return hubs;
}

async function sceneOf(options: Partial<TestHubOptions> = {}, count = 2): Promise<Scene> {
  const redis = await OwnRedis.start(stage);
  return { redis, hubs: await hubsOn(redis, options, count) };
}

function hubAt(hubs: readonly TestHub[], index: number): TestHub {
  const hub = hubs[index];
  if (hub === undefined) throw new Error(`there is no hub ${index}`);
  return hub;
}

async function follower(hub: TestHub, projectId = "p"): Promise<{ wire: Wire; from: number }> {
  const wire = await viewer(stage, hub);
  const { seq } = await wire.askOk("project:join", { project_id: projectId });
  return { wire, from: seq };
}

/** An agent that publishes one change after the other. */
class Writer {
  readonly #wire: Wire;
  readonly #sessionId: string;
  #op = 0;

  constructor(wire: Wire, sessionId: string) {
    this.#wire = wire;
    this.#sessionId = sessionId;
  }

  static async open(hub: TestHub, sessionId = "s", projectId = "p"): Promise<Writer> {
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", { session_id: sessionId, project_id: projectId, machine_id: "m" });
    return new Writer(wire, sessionId);
  }

  /** Resolves with the seq of the change; a refusal fails the test. */
  async publish(): Promise<number> {
    this.#op += 1;
    const changes = [{ kind: "session", metadata: { op: this.#op } }];
    const publish = { session_id: this.#sessionId, incarnation: 1, op: this.#op, changes };
    return (await this.#wire.askOk("changes:publish", publish)).seq;
  }

  /** Publishes until told to end; resolves with the seq of the last change. */
  async publishUntil(isOver: () => boolean): Promise<number> {
    for (;;) {
      const seq = await this.publish();
      if (isOver()) return seq;
    }
  }
}

/** Every frame begins where the one before it ended, up to `to`. */
async function expectWhole({ wire, from }: { wire: Wire; from: number }, to: number, withinMs = 10_000): Promise<void> {
  await eventually(`frames up to ${to}`, () => (wire.messages("changes").at(-1)?.to_seq ?? from) >= to, withinMs);
  let seq = from;
  for (const frame of wire.messages("changes")) {
    expect(frame.from_seq).toBe(seq + 1);
    seq = frame.to_seq;
  }
  expect(wire.messages("project:reset")).toEqual([]);
}

async function redisOf(hub: TestHub): Promise<Json> {
  return (await rest(hub, "GET /health/ready")).body.checks.redis;
}

describe("with Redis", () => {
  test("[F19] [D17] what one hub commits reaches the viewers of all others at once, in order", async () => {
    const { hubs } = await sceneOf({ overrides: { bounds: NO_POLLS } }, 3);
    const followers = await Promise.all(hubs.map((hub) => follower(hub)));
    const writers = [await Writer.open(hubAt(hubs, 0), "s0"), await Writer.open(hubAt(hubs, 1), "s1")];
    await Promise.all(writers.map((writer) => writer.publishUntil(counted(40))));
    for (const one of followers) await expectWhole(one, 2 * 41);
    expect(await redisOf(hubAt(hubs, 2))).toMatchObject({ status: "ok", garbage: 0, dropped: 0 });
    expect((await redisOf(hubAt(hubs, 2))).received).toBeGreaterThan(0);
    expect(followers.flatMap(({ wire }) => wire.messages("mode"))).toEqual([]);
  });

  test("[N2] an agent whose session was taken on another hub hears it at once", async () => {
    const { hubs } = await sceneOf({ overrides: { bounds: NO_POLLS } });
    const session = { session_id: "s", project_id: "p", machine_id: "m" };
    const old = await agent(stage, hubAt(hubs, 0), "a");
    await old.askOk("session:open", session);
    await (await agent(stage, hubAt(hubs, 1), "a")).askOk("session:open", session);
    expect(await old.hears("fenced")).toEqual([{ session_id: "s", incarnation: 1, reason: "taken" }]);
  });

  test("[D18] what Redis lost is found by comparing heads, though nothing comes after it", async () => {
    const bounds = { headPollMs: 100, headPollLiveMs: 300, fanOutMessageBytes: 10 };
    const { hubs } = await sceneOf({ overrides: { bounds } });
    const seen = await follower(hubAt(hubs, 1));
    const writer = await Writer.open(hubAt(hubs, 0));
    await expectWhole(seen, await writer.publish());
    expect(await redisOf(hubAt(hubs, 0))).toMatchObject({ status: "ok", dropped: 2 });
    expect(await redisOf(hubAt(hubs, 1))).toMatchObject({ received: 0 });
  });

  test("[D18] an entry lost on the way, and then silence: found by comparing heads, though neither hub noticed", async () => {
    const proxy = await RedisProxy.start(stage, (await OwnRedis.start(stage)).port);
    const overrides = { bounds: { headPollMs: 200, headPollLiveMs: 2_000, probeEveryMs: 60_000 } };
    const hubs = await hubsOn(proxy, { overrides });
    const seen = await follower(hubAt(hubs, 1));
    const writer = await Writer.open(hubAt(hubs, 0));
    await expectWhole(seen, await writer.publish());
    proxy.swallow();
    const last = await writer.publish();
    await eventually("it is lost", () => proxy.swallowedEntries > 0);
    await eventually("for both hubs", () => proxy.swallowedEntries > 1);
    proxy.pass();
    await expectWhole(seen, last, 6_000);
    expect(await redisOf(hubAt(hubs, 0))).toMatchObject({ status: "ok", dropped: 0 });
    expect(await redisOf(hubAt(hubs, 1))).toMatchObject({ status: "ok", received: 2 });
  });

  test("[D18] a hub that could not tell others asks them to look: sooner than their own comparison", async () => {
    const { hubs } = await sceneOf({
      overrides: { bounds: { ...NO_POLLS, fanOutMessageBytes: 10, probeEveryMs: 100 } },
    });
    const seen = await follower(hubAt(hubs, 1));
    await expectWhole(seen, await (await Writer.open(hubAt(hubs, 0))).publish());
  });

  test("[D19] garbage on the channel is counted and does nothing", async () => {
    const { redis, hubs } = await sceneOf({ overrides: { bounds: NO_POLLS } });
    const [here, there] = [hubAt(hubs, 0), hubAt(hubs, 1)];
    const seen = await follower(there);
    const message = (fields: object) => JSON.stringify({ uid: "stranger", nsp: "/hubs", ...fields });
    const packet = (...parts: unknown[]) => message({ type: 9, data: { packet: parts } });
    const entry = {
      project_id: "p",
      from_seq: 1,
      to_seq: 1,
      epoch: "0".repeat(16),
      hub_id: "h",
      at: "",
      changes: [{}],
    };
    const garbage: (string | Buffer)[] = [
      ...["", "x", "{", "null", "[]", "{}", '"', Buffer.from([0xff, 0x00, 0xc1]), Buffer.alloc(2_000_000, "x")],
      ...[message({}), message({ type: 9 }), message({ type: 9, data: null }), message({ type: 9, data: {} })],
      ...[3, 4, 5, 6, 7, 8, 10, 13, 99, "9", null].map((type) => message({ type, data: {} })),
      ...[3, 6, 9].map((type) => message({ type, data: { requestId: "r", opts: {}, packet: {} } })),
      ...[packet(), packet(null), packet("entry"), packet("entry", 1), packet("entry", entry)],
      ...[packet("entry", JSON.stringify(entry)), packet("error", "x"), packet("connection", {}), packet("close")],
      ...[packet("probe"), packet("probe", "x"), packet("behind"), packet("behind", { _placeholder: true, num: 0 })],
    ];
    for (const one of garbage) await redis.command("SPUBLISH", "state-hub#/hubs#", one);
    await eventually("all of it counted", async () => (await redisOf(there)).garbage === garbage.length);
    expect(seen.wire.messages("changes")).toEqual([]);
    await expectWhole(seen, await (await Writer.open(here)).publish());
    expect(await redisOf(there)).toMatchObject({ status: "ok", garbage: garbage.length });
  });

  test("[D19] hubs of another database do not move heads here, whatever they send through the same Redis", async () => {
    const redis = await OwnRedis.start(stage);
    const overrides = { bounds: { ...NO_POLLS, probeEveryMs: 60_000 } };
    const [here] = await hubsOn(redis, { overrides }, 1);
    const [foreign] = await hubsOn(redis, { overrides }, 1);
    if (here === undefined || foreign === undefined) throw new Error("hubs were asked for");
    await eventually("its probe was heard", async () => (await redisOf(here)).garbage === 1);
    const seen = await follower(here);
    await (await Writer.open(foreign)).publish();
    await eventually("its entries were heard", async () => (await redisOf(here)).garbage === 3);
    expect(await redisOf(here)).toMatchObject({ status: "ok", received: 0 });
    expect(seen.wire.messages("changes")).toEqual([]);
  });

  test("[D19] hubs with another REDIS_PREFIX are not heard", async () => {
    const redis = await OwnRedis.start(stage);
    const uri = stage.database().uri;
    const overrides = { bounds: { ...NO_POLLS, probeEveryMs: 50 } };
    const [here] = await hubsOn(redis, { uri, overrides }, 1);
    const [other] = await hubsOn(redis, { uri, overrides, env: { REDIS_PREFIX: "elsewhere" } }, 1);
    if (here === undefined || other === undefined) throw new Error("hubs were asked for");
    await follower(here);
    await (await Writer.open(other)).publish();
    expect(await redis.command("PUBSUB", "SHARDNUMSUB", "state-hub#/hubs#")).toContain(":1");
    expect(await redis.command("PUBSUB", "SHARDNUMSUB", "elsewhere#/hubs#")).toContain(":1");
    expect(await redisOf(here)).toMatchObject({ status: "ok", received: 0, garbage: 0 });
  });

  test("a Redis user needs no more rights than docs/ARCHITECTURE.md says", async () => {
    const redis = await OwnRedis.start(stage);
    const rights = ["+spublish", "+ssubscribe", "+@connection", "+info", "resetchannels", "&state-hub#*"];
    expect(await redis.command("ACL", "SETUSER", "hub", "on", ">word", "-@all", ...rights)).toContain("OK");
    const hubs = await hubsOn({ url: redis.url.replace("//", "//hub:word@") }, { overrides: { bounds: NO_POLLS } });
    const seen = await follower(hubAt(hubs, 1));
    await expectWhole(seen, await (await Writer.open(hubAt(hubs, 0))).publish());
  });

  test("[H11] no client enters the namespace of the hubs", async () => {
    const { hubs } = await sceneOf({}, 1);
    const { url, key } = hubAt(hubs, 0);
    const socket = stage.add(
      io(`${url}/hubs`, { transports: ["websocket"], forceNew: true, reconnection: false, auth: { key } }),
      (open) => open.disconnect(),
    );
    const refusal = await new Promise<Json>((resolve) => socket.once("connect_error", resolve));
    expect(refusal.data.code).toBe("VALIDATION");
  });
});

describe("with Redis dead or deaf", () => {
  test("[D20] [F17] killed: acks go on, viewers follow by polling; restarted: live again, no hole", async () => {
    const { redis, hubs } = await sceneOf();
    const seen = await follower(hubAt(hubs, 1));
    const writer = await Writer.open(hubAt(hubs, 0));
    await expectWhole(seen, await writer.publish());
    await redis.kill();
    await seen.wire.hears("mode");
    for (let left = 5; left > 0; left--) expect(await timed(() => writer.publish())).toBeLessThan(1_000);
    await expectWhole(seen, await writer.publish(), 3_000);
    expect((await rest(hubAt(hubs, 1), "GET /health/ready", { key: null })).body).toEqual({ status: "degraded" });
    expect(await redisOf(hubAt(hubs, 1))).toMatchObject({ status: "degraded", reason: "Redis is away" });
    const late = await follower(hubAt(hubs, 1));
    expect(await late.wire.hears("mode")).toEqual([{ mode: "degraded", reason: "Redis is away" }]);
    await redis.start();
    const isLive = { value: false };
    const publishing = writer.publishUntil(() => isLive.value);
    await seen.wire.hears("mode", 2);
    isLive.value = true;
    const last = await publishing;
    await expectWhole(seen, last);
    await expectWhole(late, last);
    expect(seen.wire.messages("mode")).toEqual([{ mode: "degraded", reason: "Redis is away" }, { mode: "live" }]);
    expect((await rest(hubAt(hubs, 1), "GET /health/ready", { key: null })).body).toEqual({ status: "ok" });
  });

  test("[D20] absent at the start: the hubs start degraded and heal by themselves", async () => {
    const redis = await OwnRedis.absent(stage);
    const hubs = await hubsOn(redis);
    const seen = await follower(hubAt(hubs, 1));
    expect((await seen.wire.hears("mode"))[0]).toMatchObject({ mode: "degraded" });
    expect((await redisOf(hubAt(hubs, 0))).trouble).toContain("ECONNREFUSED");
    const writer = await Writer.open(hubAt(hubs, 0));
    await expectWhole(seen, await writer.publish(), 3_000);
    await redis.start();
    expect((await seen.wire.hears("mode", 2))[1]).toEqual({ mode: "live" });
    await eventually("both are live", async () => (await redisOf(hubAt(hubs, 0))).status === "ok");
    await expectWhole(seen, await writer.publish());
    await eventually("it came through Redis", async () => (await redisOf(hubAt(hubs, 1))).received > 0);
  });

  test("[D20] [D18] subscriptions cut again and again under load: no hole, no poll needed", async () => {
    const { redis, hubs } = await sceneOf({ overrides: { bounds: NO_POLLS } });
    const seen = await follower(hubAt(hubs, 1));
    const writer = await Writer.open(hubAt(hubs, 0));
    const isOver = { value: false };
    const publishing = writer.publishUntil(() => isOver.value);
    for (let cuts = 1; cuts <= 5; cuts++) {
      await redis.command("CLIENT", "KILL", "TYPE", "pubsub");
      await eventually(
        "live again",
        () => seen.wire.messages("mode").filter(({ mode }) => mode === "live").length >= cuts,
      );
    }
    isOver.value = true;
    await expectWhole(seen, await publishing);
    expect(seen.wire.messages("mode").at(-1)).toEqual({ mode: "live" });
  });

  test("[D20] alive but silent: noticed by the hub's own probe, acks go on, healed when it answers again", async () => {
    const { redis, hubs } = await sceneOf();
    const seen = await follower(hubAt(hubs, 1));
    const writer = await Writer.open(hubAt(hubs, 0));
    await expectWhole(seen, await writer.publish());
    redis.freeze();
    const noticed = timed(() => seen.wire.hears("mode"));
    expect(await timed(() => writer.publish())).toBeLessThan(1_000);
    expect(await noticed).toBeLessThan(4_500);
    expect(seen.wire.messages("mode")).toEqual([{ mode: "degraded", reason: "Redis does not answer" }]);
    await expectWhole(seen, await writer.publish(), 3_000);
    redis.thaw();
    expect((await seen.wire.hears("mode", 2))[1]).toEqual({ mode: "live" });
    await expectWhole(seen, await writer.publish());
  });

  test("[D20] [D18] deaf on one side only: the subscriptions' connections are open and silent, no poll needed", async () => {
    const proxy = await RedisProxy.start(stage, (await OwnRedis.start(stage)).port);
    const hubs = await hubsOn(proxy, { overrides: { bounds: NO_POLLS } });
    const seen = await follower(hubAt(hubs, 1));
    const writer = await Writer.open(hubAt(hubs, 0));
    await expectWhole(seen, await writer.publish());
    expect(proxy.deafen()).toBe(2);
    const last = await writer.publish();
    const noticed = timed(() => seen.wire.hears("mode"));
    expect(await noticed).toBeLessThan(4_500);
    await expectWhole(seen, last, 3_000);
    expect((await seen.wire.hears("mode", 2))[1]).toEqual({ mode: "live" });
    await expectWhole(seen, await writer.publish());
  });

  test("[D18] publishing connections cut again and again: what was not told is found, no poll needed", async () => {
    const { redis, hubs } = await sceneOf({ overrides: { bounds: NO_POLLS } });
    const seen = await follower(hubAt(hubs, 1));
    const writer = await Writer.open(hubAt(hubs, 0));
    for (let cuts = 1; cuts <= 5; cuts++) {
      await redis.command("CLIENT", "KILL", "TYPE", "normal");
      await expectWhole(seen, await writer.publish());
    }
  });

  test("[D20] [K11] a Redis that refuses the password: degraded, and the password is nowhere to be read", async () => {
    const redis = await OwnRedis.absent(stage);
    await redis.start("--requirepass", "right");
    const hub = stage.add(
      await startHub({
        mongodbUri: stage.database().uri,
        env: { REDIS_URL: `redis://:wrong-and-secret@127.0.0.1:${redis.port}`, LOG_LEVEL: "debug" },
      }),
      (running) => running.stop(),
    );
    const answer = await rest(hub, "GET /health/ready");
    expect(answer).toMatchObject({ status: 200, body: { status: "degraded" } });
    expect(answer.body.checks.redis.trouble).toContain("WRONGPASS");
    expect(await timed(() => hub.stop())).toBeLessThan(8_000);
    expect(hub.output() + JSON.stringify(answer.body)).not.toContain("secret");
    expect(hub.output()).not.toContain("internal error");
  });
});

test("[D20] [K11] a Redis too old to know the login: degraded, says why, and the password is nowhere to be read", async () => {
  const ancient = stage.add(createServer(), (server) => server.close());
  ancient.on("connection", (socket) => {
    stage.add(socket, (open) => open.destroy());
    socket.on("error", () => {});
    // Answers as Redis does: with what it was sent.
    socket.on("data", (data) => {
      for (const command of data.toString().split("*").slice(1)) {
        const [name, ...words] = command.split("\r\n").filter((line) => /^[A-Za-z]/.test(line));
        socket.write(`-ERR unknown command '${name}', with args beginning with: ${words.join(" ")}\r\n`);
      }
    });
  });
  ancient.listen(0, "127.0.0.1");
  await once(ancient, "listening");
  const url = `redis://:very-secret@127.0.0.1:${(ancient.address() as AddressInfo).port}`;
  const [hub] = await hubsOn({ url }, {}, 1);
  const redis = await redisOf(hub as TestHub);
  expect(redis).toMatchObject({ status: "degraded", trouble: expect.stringContaining("7.0 or newer is needed") });
  expect(JSON.stringify(redis)).not.toContain("secret");
});

test("[D20] a hub stops in time though Redis is silent", async () => {
  const { redis, hubs } = await sceneOf({}, 1);
  await (await Writer.open(hubAt(hubs, 0))).publish();
  redis.freeze();
  expect(await timed(() => hubAt(hubs, 0).stop())).toBeLessThan(4_000);
});

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

/** True at the n-th question. */
function counted(times: number): () => boolean {
  let asked = 0;
  return () => {
    asked += 1;
    return asked >= times;
  };
}
