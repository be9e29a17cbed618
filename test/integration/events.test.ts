import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { Mirror } from "../../client/mirror.ts";
import { BOUNDS } from "../../server/bounds.ts";
import type { Clock } from "../../server/ports.ts";
import { EventStreams } from "../../server/realtime/event-streams.ts";
import {
  chainEnd,
  type Events,
  eventsIn,
  follow,
  followDeaf,
  type Heard,
  snapshotInto,
  withoutChunks,
} from "../support/events.ts";
import { eventually } from "../support/eventually.ts";
import { makeKey } from "../support/keys.ts";
import { OwnRedis } from "../support/own-redis.ts";
import { rawHttp, rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, viewer, type Wire } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

/** For tests that use a project of their own and leave nothing behind that another would meet. */
const sharedStage = new Stage();
let shared: TestHub;
/** The hub's ends of all streams, oldest first. */
const responses: ServerResponse[] = [];
beforeAll(async () => {
  const { open } = EventStreams.prototype;
  vi.spyOn(EventStreams.prototype, "open").mockImplementation(function (this: EventStreams, response, ...rest) {
    responses.push(response);
    return open.call(this, response, ...rest);
  });
  shared = await sharedStage.hub({
    env: { REQUEST_TIMEOUT_MS: "1500" },
    overrides: { bounds: { positionEveryMs: 500, eventRetryMs: 100, eventRetrySpreadMs: 100 } },
  });
});
afterAll(async () => {
  await sharedStage.clear();
  vi.restoreAllMocks();
});

/** Publishes to a session of its own; each call is one entry. Resolves with its seq. */
async function publisher(hub: TestHub, projectId: string, filling = 0) {
  const wire: Wire = await agent(stage, hub);
  const session = { session_id: `s-${projectId}`, project_id: projectId, machine_id: "m" };
  await wire.askOk("session:open", session);
  let op = 0;
  return async (): Promise<number> => {
    op += 1;
    const metadata = { op, filling: String(op % 10).repeat(filling) };
    const task = { kind: "task", task_id: `t${op % 3}`, title: `title ${op}`, metadata };
    const changes = [{ kind: "session", metadata }, task];
    const message = { session_id: session.session_id, incarnation: 1, op, changes };
    return (await wire.askOk("changes:publish", message)).seq;
  };
}

async function untilEnd(events: Events, seq: number): Promise<void> {
  await eventually(`the stream is at ${seq}`, () => events.lastId?.endsWith(`:${seq}`));
}

function expectLikeRest(mirror: Mirror, snapshot: Mirror): void {
  expect(mirror.position).toEqual(snapshot.position);
  expect(Object.fromEntries(mirror.sessions)).toEqual(Object.fromEntries(snapshot.sessions));
  expect(Object.fromEntries(mirror.tasks)).toEqual(Object.fromEntries(snapshot.tasks));
}

describe("a stream of events", () => {
  test("[R36] [R56] [R57] begins at the head, and brings every frame of a socket in the same order", async () => {
    const publish = await publisher(shared, "whole");
    const events = await follow(stage, shared, "whole");
    const [begin] = await events.hears("position");
    expect(begin).toMatchObject({ project_id: "whole", seq: 1 });
    expect(events.lastId).toBe(`${begin.epoch}:1`);
    const socket = await viewer(stage, shared);
    await socket.askOk("project:join", { project_id: "whole" });
    let head = 0;
    for (let n = 0; n < 100; n++) head = await publish();
    await untilEnd(events, head);
    expect(chainEnd(1, events.heard)).toBe(head);
    await eventually("the socket has all", () => socket.messages("changes").at(-1)?.to_seq === head);
    expect(events.of("changes")).toEqual(socket.messages("changes"));
  });

  test("[R58] a snapshot and `since` make a mirror, however often the connection is lost under load", async () => {
    const publish = await publisher(shared, "resume");
    const mirror = new Mirror();
    const since = await snapshotInto(mirror, shared, "resume");
    let events = await follow(stage, shared, "resume", { query: `?since=${since}` });
    const heard: Heard[] = [];
    let isOver = false;
    const load = (async () => {
      let seq = 0;
      while (!isOver) seq = await publish();
      return seq;
    })();
    for (let losses = 0; losses < 15; losses++) {
      await events.hears("changes", 1 + (losses % 4));
      events.cut();
      await eventually("the stream has ended", () => events.hasEnded);
      heard.push(...events.heard);
      // As a browser does it: the URL of the first time, and the newer id beside it.
      const lastEventId = events.lastId ?? "";
      events = await follow(stage, shared, "resume", { query: `?since=${since}`, lastEventId });
    }
    isOver = true;
    const head = await load;
    await untilEnd(events, head);
    heard.push(...events.heard);
    expect(chainEnd(mirror.position.seq, heard)).toBe(head);
    for (const { event, data } of heard) {
      if (event === "changes") expect(mirror.frame(data)).toMatchObject({ next: "go on" });
    }
    const now = new Mirror();
    await snapshotInto(now, shared, "resume");
    expectLikeRest(mirror, now);
  });

  test("[R59] what cannot be continued is told by project:reset, with the head as id, and goes on from there", async () => {
    const publish = await publisher(shared, "gone");
    let head = 0;
    for (let n = 0; n < 3; n++) head = await publish();
    const { body } = await rest(shared, "GET /projects/gone/snapshot");
    const reasons = new Map([
      [`${body.epoch}:${head + 5}`, "epoch"],
      ["0123456789abcdef:2", "epoch"],
      [":0", "epoch"],
    ]);
    for (const [lastEventId, reason] of reasons) {
      const events = await follow(stage, shared, "gone", { lastEventId });
      expect(await events.hears("project:reset")).toEqual([{ project_id: "gone", reason }]);
      expect(events.heard[0]?.id).toBe(`${body.epoch}:${head}`);
      const next = await publish();
      await untilEnd(events, next);
      expect(chainEnd(head, events.heard)).toBe(next);
      head = next;
      events.cut();
    }
  });

  test("[R59] so is more than a replay may be", async () => {
    const hub = await stage.hub({ overrides: { limits: { replay_changes: 4 } } });
    const publish = await publisher(hub, "p");
    for (let n = 0; n < 3; n++) await publish();
    const { body } = await rest(hub, "GET /projects/p/snapshot");
    const near = await follow(stage, hub, "p", { lastEventId: `${body.epoch}:${body.seq - 3}` });
    expect((await near.hears("changes"))[0]).toMatchObject({ from_seq: body.seq - 2, to_seq: body.seq });
    const far = await follow(stage, hub, "p", { query: `?since=${body.epoch}:1` });
    expect(await far.hears("project:reset")).toEqual([{ project_id: "p", reason: "too_far" }]);
    expect(far.lastId).toBe(`${body.epoch}:${body.seq}`);
  });

  test("[R60] a project without changes begins at `:0`, is resumed there, and nothing is created by it", async () => {
    const events = await follow(stage, shared, "empty");
    expect(await events.hears("position")).toEqual([{ project_id: "empty", epoch: "", seq: 0 }]);
    expect(events.lastId).toBe(":0");
    const again = await follow(stage, shared, "empty", { lastEventId: ":0" });
    await again.hears("position");
    await rest(shared, "POST /sessions", { body: { session_id: "s", machine_id: "m", project_id: "empty" } });
    for (const one of [events, again]) {
      const [frame] = await one.hears("changes");
      expect(frame).toMatchObject({ from_seq: 1, to_seq: 1 });
      expect(one.lastId).toBe(`${frame.epoch}:1`);
      expect(one.of("project:reset")).toEqual([]);
    }
  });

  test("[R61] tells its position when nothing happens, and outlives every bound on requests", async () => {
    const events = await follow(stage, shared, "quiet");
    const { headers } = events.response;
    expect(headers.get("content-type")).toBe("text/event-stream");
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("x-accel-buffering")).toBe("no");
    expect(headers.get("content-encoding")).toBeNull();
    await events.hears("position", 4);
    expect(responses.at(-1)?.socket?.timeout, "no bound on idleness").toBe(0);
    expect(events.retryMs).toBeGreaterThanOrEqual(100);
    expect(events.hasEnded).toBe(false);
  });

  test("[R57] heartbeats come when they are asked for", async () => {
    const wire = await agent(stage, shared);
    await wire.askOk("session:open", { session_id: "s", project_id: "beats", machine_id: "m" });
    const asked = await follow(stage, shared, "beats", { query: "?heartbeats=true" });
    const other = await follow(stage, shared, "beats");
    await wire.askOk("heartbeat", { sessions: [{ session_id: "s", incarnation: 1, activity: "linking" }] });
    const [frame] = await asked.hears("heartbeats");
    expect(frame).toMatchObject({ project_id: "beats", sessions: { s: { activity: "linking" } } });
    expect(asked.heard.find(({ event }) => event === "heartbeats")?.id).toBeUndefined();
    await other.hears("position", 2);
    expect(other.of("heartbeats")).toEqual([]);
  });

  test("[R62] HEAD tells the head alone, and what is malformed is refused before it begins", async () => {
    const head = await rest(shared, "HEAD /projects/p/events");
    expect([head.status, head.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
    const refused = async (path: string, headers = {}) => {
      const { status, body } = await rest(shared, `GET ${path}`, { headers });
      return [status, body.code, body.errors?.[0]?.field];
    };
    const events = "/projects/p/events";
    expect(await refused(`${events}?since=x`)).toEqual([400, "VALIDATION", "since"]);
    expect(await refused(`${events}?heartbeats=1`)).toEqual([400, "VALIDATION", "heartbeats"]);
    expect(await refused(events, { "Last-Event-ID": "12" })).toEqual([400, "VALIDATION", "Last-Event-ID"]);
    expect(await refused("/projects/a%20b/events")).toEqual([400, "VALIDATION", "project_id"]);
    expect((await rest(shared, `POST ${events}`)).headers.get("allow")).toBe("GET, HEAD");
    expect((await rest(shared, `GET ${events}`, { key: null })).status).toBe(401);
  });

  test("[R62] does not begin behind another request on its connection", async () => {
    const get = (path: string, more = "") =>
      `GET ${path} HTTP/1.1\r\nHost: hub\r\nX-Api-Key: ${shared.key}\r\n${more}\r\n`;
    const text = await rawHttp(
      shared,
      get("/sessions") + get("/projects/p/events") + get("/health", "Connection: close\r\n"),
    );
    expect(text).toContain("a connection of its own");
    expect(text).toContain("uptime_s");
  });
});

describe("a stream that is not read", () => {
  test("[R63] [F15] [F23] costs no more than its queue, delays nobody, and catches up, or is closed in the end", async () => {
    const QUEUE_BYTES = 64 * 1024;
    const FRAME_BYTES = 32 * 1024;
    let passedMs = 0;
    const clock = (real: Clock): Clock => ({
      now: () => real.now(),
      monotonic: () => real.monotonic() + passedMs,
    });
    const hub = await stage.hub({ overrides: { limits: { queue_bytes: QUEUE_BYTES }, clock } });
    const publish = await publisher(hub, "p", 14_000);
    const [slow, slowAtHub] = await openDeaf(hub);
    const [, deadAtHub] = await openDeaf(hub);
    const quick = await follow(stage, hub);
    await quick.hears("position");
    let head = 0;
    const publishWatched = async () => {
      head = await publish();
      for (const atHub of [slowAtHub, deadAtHub]) {
        expect(atHub.writableLength).toBeLessThanOrEqual(QUEUE_BYTES + FRAME_BYTES);
      }
    };
    const areBehind = () => Math.min(slowAtHub.writableLength, deadAtHub.writableLength) > QUEUE_BYTES;
    for (let left = 3_000; !areBehind(); left--) {
      if (left === 0) throw new Error("never fell behind");
      await publishWatched();
    }
    for (let n = 0; n < 30; n++) await publishWatched();
    await untilEnd(quick, head);
    expect(chainEnd(1, quick.heard)).toBe(head);

    const heard = readOn(slow);
    await eventually("it has caught up", () => heard().at(-1)?.id?.endsWith(`:${head}`));
    expect(chainEnd(1, heard())).toBe(head);
    expect(heard().at(-1)?.data).toMatchObject({ conflated: true });

    expect(deadAtHub.destroyed).toBe(false);
    passedMs = BOUNDS.slowConsumerMs;
    await eventually("the other one is closed", () => deadAtHub.destroyed);
    head = await publish();
    await eventually("the rest goes on", () => heard().at(-1)?.id?.endsWith(`:${head}`));
    expect(slowAtHub.destroyed).toBe(false);
  });

  /** A stream of project p that is not read, and the hub's end of it. */
  async function openDeaf(hub: TestHub): Promise<[Socket, ServerResponse]> {
    const begun = responses.length;
    const socket = await followDeaf(stage, hub);
    await eventually("the stream is open", () => responses.length > begun);
    return [socket, responses.at(-1) as ServerResponse];
  }

  /** Reads from now on; returns what was read so far. */
  function readOn(socket: Socket): () => Heard[] {
    let text = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    socket.resume();
    return () => eventsIn(withoutChunks(text));
  }
});

describe("who may read", () => {
  const VIEWER = { role: "viewer", projects: ["mine"] };

  test("[R64] [K8] [K9] a viewer's key, in its projects alone, until it is revoked", async () => {
    const key = await makeKey(shared, VIEWER);
    const beyond = await rest(key, "GET /projects/other/events");
    expect([beyond.status, beyond.body.code, beyond.body.detail]).toEqual([403, "FORBIDDEN", "Not Authorized"]);
    const events = await follow(stage, key, "mine");
    const others = await follow(stage, shared, "mine");
    await events.hears("position");
    const began = performance.now();
    await rest(shared, `DELETE /admin/keys/${key.id}`);
    await eventually("the stream has ended", () => events.hasEnded);
    expect(performance.now() - began).toBeLessThan(6_000);
    expect(events.of("closing")).toEqual([
      { code: "KEY_REVOKED", message: "the API key was revoked", reconnect: false },
    ]);
    const again = await rest(key, "GET /projects/mine/events");
    expect(again.status).toBe(401);
    await others.hears("position", 2);
  });

  test("[R64] [H19] streams count as connections", async () => {
    const hub = await stage.hub({ env: { MAX_CONNECTIONS: "2" } });
    const first = await follow(stage, hub);
    await viewer(stage, hub);
    const full = await rest(hub, "GET /projects/p/events");
    expect([full.status, full.body.code]).toEqual([503, "OVERLOADED"]);
    expect(Number(full.headers.get("retry-after"))).toBeGreaterThanOrEqual(10);
    await expect(viewer(stage, hub)).rejects.toThrow(/2 connections/);
    first.cut();
    const next = await eventually("there is room again", () => follow(stage, hub).catch(() => undefined));
    await next.hears("position");
  });
});

describe("a hub that ends", () => {
  test("[R65] [F18] asks its streams to come back elsewhere after a time, and ends them", async () => {
    const uri = stage.database().uri;
    const hub = await stage.hub({ uri });
    const other = await stage.hub({ uri, key: hub.key });
    const publish = await publisher(hub, "p");
    const events = await follow(stage, hub);
    await publish();
    await events.hears("changes");
    const stopped = hub.stop();
    const [drain] = await events.hears("drain");
    expect(drain).toEqual({ reconnect_after_ms: expect.any(Number) });
    await eventually("the stream has ended", () => events.hasEnded);
    expect(events.retryMs).toBeGreaterThanOrEqual(1_000);
    await stopped;
    const elsewhere = await follow(stage, other, "p", { lastEventId: events.lastId ?? "" });
    await rest(other, "POST /sessions", { body: { session_id: "t", machine_id: "m", project_id: "p" } });
    await elsewhere.hears("changes");
    expect(elsewhere.of("project:reset")).toEqual([]);
    const end = chainEnd(1, events.heard);
    const [first] = elsewhere.of("changes");
    expect([first.from_seq, chainEnd(end, elsewhere.heard)]).toEqual([end + 1, elsewhere.of("changes").at(-1)?.to_seq]);
  });

  test("[R65] [R44] takes no new ones", async () => {
    const hub = await stage.hub();
    await rest(hub, "POST /admin/drain", { body: { hold: true } });
    const refused = await rest(hub, "GET /projects/p/events");
    expect([refused.status, refused.body.code]).toEqual([503, "DRAINING"]);
  });

  test("[R58] [F17] [F19] with Redis the stream goes on at another hub, and both hear what Redis does", async () => {
    const redis = await OwnRedis.start(stage);
    const options = { uri: stage.database().uri, env: { REDIS_URL: redis.url } };
    const here = await stage.hub(options);
    const there = await stage.hub({ ...options, key: here.key });
    const publish = await publisher(there, "p");
    const events = await follow(stage, here);
    await events.hears("position");
    const began = Number(events.lastId?.split(":")[1]);
    for (let n = 0; n < 20; n++) await publish();
    events.cut();
    await eventually("the stream has ended", () => events.hasEnded);
    const head = await publish();
    const elsewhere = await follow(stage, there, "p", { lastEventId: events.lastId ?? "" });
    await untilEnd(elsewhere, head);
    expect(chainEnd(began, [...events.heard, ...elsewhere.heard])).toBe(head);
    await redis.kill();
    expect((await elsewhere.hears("mode"))[0]).toMatchObject({ mode: "degraded" });
  });
});
