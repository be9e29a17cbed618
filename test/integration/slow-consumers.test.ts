import { Server, type Socket } from "socket.io";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Mirror } from "../../client/mirror.ts";
import { BOUNDS } from "../../server/bounds.ts";
import { EngineOutbox } from "../../server/realtime/outbox.ts";
import type { ProjectJoined } from "../../shared/messages/project-join.ts";
import { eventually } from "../support/eventually.ts";
import { type Namespace, type RawSocket, rawJoined } from "../support/raw-socket.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, type Json, viewer, type Wire } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

/** Of the hubs of a test: what waits in a hub for its clients cannot be seen from outside. */
const servers: Server[] = [];
beforeEach(() => {
  servers.length = 0;
  const attach = Server.prototype.attach;
  vi.spyOn(Server.prototype, "attach").mockImplementation(function (this: Server, ...args) {
    servers.push(this);
    return attach.apply(this, args);
  });
});
afterEach(() => vi.restoreAllMocks());

const QUEUE_BYTES = 64 * 1024;
/** Two entities with nearly as much metadata as they may hold: fills the buffers of the operating system soon. */
const FRAME_BYTES = 32 * 1024;
const filling = (n: number) => String(n % 10).repeat(14_000);

async function slowHub(bounds: object = {}): Promise<TestHub> {
  const env = { MAX_JOINS_PER_SECOND: "0" };
  return stage.hub({ env, overrides: { limits: { queue_bytes: QUEUE_BYTES }, bounds } });
}

/** The hub's end of the only connection of this namespace that was made last. */
function lastSocket(namespace: Namespace): Socket {
  const socket = [...(servers[0]?.of(namespace).sockets.values() ?? [])].at(-1);
  if (socket === undefined) throw new Error(`nobody is connected to ${namespace}`);
  return socket;
}

async function publisher(hub: TestHub, sessionId = "s") {
  const wire = await agent(stage, hub);
  await wire.askOk("session:open", { session_id: sessionId, project_id: "p", machine_id: "m" });
  let op = 0;
  return async (): Promise<number> => {
    op += 1;
    const metadata = { op, filling: filling(op) };
    const task = { kind: "task", task_id: `t${op % 3}`, title: "t", metadata };
    const changes = [{ kind: "session", metadata }, task];
    const { seq } = await wire.askOk("changes:publish", { session_id: sessionId, incarnation: 1, op, changes });
    return seq;
  };
}

/** A viewer on a bare connection, and its mirror of what it has read so far. */
async function rawViewer(hub: TestHub) {
  const raw = await rawJoined(stage, hub, "/viewers");
  const joined: ProjectJoined = await raw.ask("/viewers", `["project:join",{"project_id":"p"}]`);
  const socket = lastSocket("/viewers");
  return { raw, joined, socket, outbox: new EngineOutbox(socket.conn) };
}

/** Publishes until the hub no longer queues frames for this viewer; returns what waited for it at most. */
async function publishUntilBehind(publish: () => Promise<number>, socket: Socket, outbox: EngineOutbox) {
  let most = 0;
  for (let left = 3_000; socket.rooms.has("p:p"); left--) {
    if (left === 0) throw new Error("never fell behind");
    await publish();
    most = Math.max(most, outbox.bytes);
  }
  return most;
}

function frames(raw: RawSocket): Json[] {
  return raw.messages("/viewers", "changes");
}

function mirrorOf(joined: ProjectJoined, heard: readonly Json[]): Mirror {
  const mirror = new Mirror();
  mirror.beginJoin();
  mirror.joined(joined);
  for (const frame of heard) expect(mirror.frame(frame)).toMatchObject({ next: "go on" });
  return mirror;
}

async function expectLikeRest(mirror: Mirror, hub: TestHub): Promise<void> {
  const answer = await fetch(`${hub.url}/projects/p/snapshot`, { headers: { "x-api-key": hub.key } });
  const snapshot = (await answer.json()) as Json;
  expect(mirror.position).toEqual({ epoch: snapshot.epoch, seq: snapshot.seq });
  const byId = (one: Json, other: Json) => (one.task_id ?? "").localeCompare(other.task_id ?? "");
  expect([...mirror.sessions.values()]).toEqual(snapshot.sessions);
  expect([...mirror.tasks.values()].sort(byId)).toEqual(snapshot.tasks.sort(byId));
}

function expectChain(seq: number, heard: readonly Json[]): void {
  let last = seq;
  for (const frame of heard) {
    expect(frame.from_seq).toBe(last + 1);
    last = frame.to_seq;
  }
}

describe("a viewer that stops reading", () => {
  test("[F14] [F15] costs no more than its queue, delays nobody, and catches up with one conflated frame", async () => {
    const hub = await slowHub();
    const publish = await publisher(hub);
    const { raw, joined, socket, outbox } = await rawViewer(hub);
    const quick = await viewer(stage, hub);
    const { seq } = await quick.askOk("project:join", { project_id: "p" });
    raw.goDeaf();
    const most = await publishUntilBehind(publish, socket, outbox);
    expect(most).toBeLessThanOrEqual(QUEUE_BYTES + FRAME_BYTES);
    let head = 0;
    for (let n = 0; n < 50; n++) {
      head = await publish();
      expect(outbox.bytes).toBeLessThanOrEqual(QUEUE_BYTES + FRAME_BYTES);
    }
    await eventually("the other viewer has all", () => quick.messages("changes").at(-1)?.to_seq === head);
    expectChain(seq, quick.messages("changes"));
    expect(quick.messages("changes").some((frame) => frame.conflated)).toBe(false);

    raw.listen();
    await eventually("it has caught up", () => frames(raw).at(-1)?.to_seq === head);
    head = await publish();
    await eventually("it is in the room again", () => frames(raw).at(-1)?.to_seq === head);
    const heard = frames(raw);
    expectChain(joined.seq, heard);
    const conflated = heard.filter((frame) => frame.conflated);
    expect(conflated).toHaveLength(1);
    expect(conflated[0].changes.map((change: Json) => change.id).sort()).toEqual(["s", "t0", "t1", "t2"]);
    expect(conflated[0].changes.every((change: Json) => change.state && !change.patch)).toBe(true);
    expect(heard.at(-1)?.conflated).toBeUndefined();
    await expectLikeRest(mirrorOf(joined, heard), hub);
  });

  test("[F21] while it is behind it gets neither position nor heartbeats, and afterwards both", async () => {
    const hub = await slowHub({ positionEveryMs: 250, heartbeatFrameMs: 50 });
    const publish = await publisher(hub);
    const { raw, socket, outbox } = await rawViewer(hub);
    await raw.ask("/viewers", `["project:join",{"project_id":"p","heartbeats":true}]`);
    raw.goDeaf();
    await publishUntilBehind(publish, socket, outbox);
    expect([...socket.rooms]).toEqual([socket.id]);
    raw.listen();
    await eventually("it is back in both rooms", () => socket.rooms.has("p:p") && socket.rooms.has("h:p"));
    const before = raw.messages("/viewers", "position").length;
    await eventually("a position", () => raw.messages("/viewers", "position").length > before);
    expect(raw.messages("/viewers", "position").at(-1)?.seq).toBe(frames(raw).at(-1)?.to_seq);
  });

  test("[F16] [F22] is reset when what it missed is more than a frame may hold", async () => {
    const hub = await slowHub({ conflatedEntities: 3 });
    const publish = await publisher(hub);
    const { raw, socket, outbox } = await rawViewer(hub);
    raw.goDeaf();
    await publishUntilBehind(publish, socket, outbox);
    for (let n = 0; n < 6; n++) await publish();
    raw.listen();
    await eventually("a reset", () => raw.messages("/viewers", "project:reset").length === 1);
    const head = await publish();
    expect(frames(raw).at(-1)?.to_seq).toBeLessThan(head);
    const joined = await raw.ask("/viewers", `["project:join",{"project_id":"p"}]`);
    expect(joined).toMatchObject({ mode: "snapshot", seq: head });
  });

  test("[F23] [E9] [H8] for too long is told SLOW_CONSUMER, closed, and comes back with its since", async () => {
    const hub = await slowHub({ slowConsumerMs: 300 });
    const publish = await publisher(hub);
    const { raw, joined, socket, outbox } = await rawViewer(hub);
    raw.goDeaf();
    await publishUntilBehind(publish, socket, outbox);
    await eventually("the hub gives up", () => (socket.conn.readyState as string) !== "open");
    raw.listen();
    await raw.ends();
    const [closing] = raw.messages("/viewers", "closing");
    expect(closing).toMatchObject({ code: "SLOW_CONSUMER", reconnect: true, reconnect_after_ms: expect.any(Number) });
    const heard = frames(raw);
    expectChain(joined.seq, heard);
    const mirror = mirrorOf(joined, heard);

    const again = await rawJoined(stage, hub, "/viewers");
    const since = mirror.beginJoin();
    const request = { project_id: "p", since };
    mirror.joined(await again.ask("/viewers", JSON.stringify(["project:join", request])));
    await expectLikeRest(mirror, hub);
  });

  test("[F23] for ever loses its connection, and what waited for it is free", async () => {
    const hub = await slowHub({ slowConsumerMs: 200 });
    const publish = await publisher(hub);
    const { raw, socket, outbox } = await rawViewer(hub);
    raw.goDeaf();
    await publishUntilBehind(publish, socket, outbox);
    await eventually("the connection is gone", () => servers[0]?.of("/viewers").sockets.size === 0, 2_000);
    await eventually("nothing waits", () => outbox.bytes === 0, 1_000);
    await publish();
  });
});

describe("a client that only asks", () => {
  test("[L11] for pages that it does not read is held up, and closed in the end", async () => {
    const hub = await slowHub({ slowConsumerMs: 1_000 });
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const publish = await publisher(hub, `s${index}`);
        for (let n = 0; n < 3; n++) await publish();
      }),
    );
    const { raw, joined, socket, outbox } = await rawViewer(hub);
    const cursor = joined.mode === "snapshot" ? joined.next_cursor : undefined;
    const request = JSON.stringify(["project:snapshot", { project_id: "p", cursor }]);
    expect(await raw.ask("/viewers", request)).toMatchObject({ ok: true });
    raw.goDeaf();
    let most = 0;
    const watching = setInterval(() => {
      most = Math.max(most, outbox.bytes);
    }, 1);
    for (let n = 1; n <= 2_000; n++) raw.send(`42/viewers,${n + 1_000}${request}`);
    const other = await viewer(stage, hub);
    const asked = performance.now();
    await other.askOk("project:join", { project_id: "p" });
    expect(performance.now() - asked).toBeLessThan(5_000);
    await eventually("it is closed", () => !socket.connected, 10_000);
    clearInterval(watching);
    expect(most).toBeGreaterThan(QUEUE_BYTES);
    expect(most).toBeLessThanOrEqual(BOUNDS.queueBytesAtMost);
  });

  test("[L11] and reads is answered, up to what may wait for its turn", async () => {
    const hub = await slowHub();
    const publish = await publisher(hub);
    for (let n = 0; n < 20; n++) await publish();
    const seen = await viewer(stage, hub);
    const page = { project_id: "p", cursor: "0123456789abcdef.1" };
    const answers = await Promise.all(Array.from({ length: 500 }, () => seen.ask("project:snapshot", page)));
    const codes = answers.map((answer) => answer.error.code);
    expect(new Set(codes)).toEqual(new Set(["GONE", "OVERLOADED"]));
    expect(codes.filter((code) => code === "GONE").length).toBeGreaterThanOrEqual(200);
    expect(answers.at(-1)?.error).toMatchObject({ retryable: true, retry_after_ms: expect.any(Number) });
    const joins = await Promise.all(
      Array.from({ length: 100 }, (_, index) => seen.ask("project:join", { project_id: `q${index}` })),
    );
    expect(joins.every((answer) => answer.ok)).toBe(true);
  });

  test("[N7] [E9] an agent that does not read its acks is closed with SLOW_CONSUMER", async () => {
    const hub = await slowHub({ slowConsumerMs: 300, queueBytesAtMost: 2 * 1024 * 1024 });
    const raw = await rawJoined(stage, hub, "/agents");
    const open = { session_id: "s", project_id: "p", machine_id: "m", metadata: { filling: filling(0) } };
    const { incarnation, token } = await raw.ask("/agents", JSON.stringify(["session:open", open]));
    const socket = lastSocket("/agents");
    const outbox = new EngineOutbox(socket.conn);
    const again = JSON.stringify(["session:open", { ...open, metadata: undefined, incarnation, token }]);
    raw.goDeaf();
    let most = 0;
    for (let n = 0; socket.connected && n < 100; n++) {
      for (let m = 0; m < 20; m++) raw.send(`42/agents,${n * 20 + m + 10}${again}`);
      await eventually("taken", () => outbox.isDrained || outbox.isBlocked || !socket.connected);
      most = Math.max(most, outbox.bytes);
    }
    await eventually("the hub gives up", () => (socket.conn.readyState as string) !== "open");
    raw.listen();
    await raw.ends();
    expect(raw.messages("/agents", "closing")[0]).toMatchObject({ code: "SLOW_CONSUMER", reconnect: true });
    expect(most).toBeLessThanOrEqual(2 * 1024 * 1024 + 20 * FRAME_BYTES);
    const wire: Wire = await agent(stage, hub);
    await wire.askOk("session:open", { ...open, incarnation, token });
  });
});
