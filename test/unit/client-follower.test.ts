import { describe, expect, test } from "vitest";
import { type FollowOptions, ProjectFollower } from "../../client/follower.ts";
import type { Session } from "../../shared/entities.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { FakeTransport, refusal } from "../support/fake-link.ts";

const at = "2026-11-22T06:00:00.000Z";

function session(id: string, seq: number, metadata = {}): Session {
  const when = { created_at: at, updated_at: at, version: 1, seq };
  const rest = { machine_id: "m", environment: "production", metadata, incarnation: 1, ...when };
  return { session_id: id, project_id: "p", status: "ACTIVE", liveness: "online", ...rest };
}

const snapshot = {
  ok: true,
  mode: "snapshot",
  reason: "first",
  epoch: "e",
  seq: 1,
  sessions: [session("s1", 1)],
  tasks: [],
};

function created(seq: number): object {
  const state = session(`s${seq}`, seq);
  const common = { seq, at, kind: "session", id: state.session_id, session_id: state.session_id, version: 1 };
  return { ...common, type: "created", actor: { kind: "agent", id: "a" }, state };
}

function frame(from: number, to: number): object {
  const changes = Array.from({ length: to - from + 1 }, (_, index) => created(from + index));
  return { project_id: "p", epoch: "e", from_seq: from, to_seq: to, changes };
}

function start(extra: Partial<FollowOptions> = {}) {
  const clock = new FakeClock();
  const transport = new FakeTransport();
  const follower = new ProjectFollower(
    { url: "http://hub", key: "k", projectId: "p", ...extra },
    transport.connect,
    clock,
  );
  const log: string[] = [];
  follower.on("change", ({ change }) => log.push(`change ${change.seq}`));
  follower.on("synced", (position) => log.push(`synced ${position.seq}`));
  follower.on("reset", ({ reason, from, to }) => log.push(`reset ${reason} ${from.seq}-${to.seq}`));
  return { follower, clock, transport, log };
}

function startJoined(extra: Partial<FollowOptions> = {}) {
  const all = start(extra);
  all.transport.link.accept();
  all.transport.link.last("project:join").answer?.(snapshot);
  return all;
}

describe("follower", () => {
  test("[V1] joins, holds what the hub sends, and tells what changes", async () => {
    const { follower, transport, log } = start({ heartbeats: true });
    transport.link.accept();
    expect(transport.link.last("project:join").payload).toEqual({ project_id: "p", heartbeats: true });
    transport.link.last("project:join").answer?.(snapshot);
    expect(await follower.ready).toEqual({ epoch: "e", seq: 1 });
    transport.link.emit("changes", frame(2, 3));
    expect(log).toEqual(["reset first 0-1", "synced 1", "change 2", "change 3"]);
    expect([...follower.sessions.keys()]).toEqual(["s1", "s2", "s3"]);
    expect(follower.position).toEqual({ epoch: "e", seq: 3 });
  });

  test("[F1] joins again with since on a gap, on the same connection", () => {
    const { follower, transport, log } = startJoined();
    transport.link.emit("changes", frame(3, 3));
    expect(follower.state.name).toBe("opening");
    expect(transport.link.last("project:join").payload).toEqual({ project_id: "p", since: { epoch: "e", seq: 1 } });
    const changes = [created(2), created(3)];
    transport.link
      .last("project:join")
      .answer?.({ ok: true, mode: "replay", epoch: "e", from_seq: 2, seq: 3, changes });
    expect(follower.state.name).toBe("ready");
    expect(log.slice(2)).toEqual(["change 2", "change 3", "synced 3"]);
  });

  test("[F11] joins again when the position differs", () => {
    const { transport } = startJoined();
    transport.link.emit("position", { project_id: "p", epoch: "e", seq: 1 });
    expect(transport.link.all("project:join")).toHaveLength(1);
    transport.link.emit("position", { project_id: "p", epoch: "e", seq: 2 });
    expect(transport.link.all("project:join")).toHaveLength(2);
  });

  test("joins again after 15 s without changes or position", () => {
    const { clock, transport } = startJoined();
    clock.advance(14_999);
    transport.link.emit("position", { project_id: "p", epoch: "e", seq: 1 });
    clock.advance(14_999);
    expect(transport.link.all("project:join")).toHaveLength(1);
    clock.advance(1);
    expect(transport.link.all("project:join")).toHaveLength(2);
  });

  test("joins that have to be repeated soon are paced", () => {
    const { clock, transport } = startJoined();
    for (let round = 0; round < 20; round++) {
      transport.link.emit("position", { project_id: "p", epoch: "e", seq: 5 });
      const join = transport.link.last("project:join");
      join.answer?.({ ok: true, mode: "replay", epoch: "e", from_seq: 2, seq: 1, changes: [] });
    }
    expect(transport.link.all("project:join").length).toBeLessThanOrEqual(2);
    clock.advance(250);
    expect(transport.link.all("project:join")).toHaveLength(3);
  });

  test("comes back after a lost connection with what it has", () => {
    const { clock, transport, log } = startJoined();
    transport.link.cut();
    clock.advance(500);
    transport.link.accept();
    expect(transport.link.last("project:join").payload.since).toEqual({ epoch: "e", seq: 1 });
    transport.link
      .last("project:join")
      .answer?.({ ok: true, mode: "replay", epoch: "e", from_seq: 2, seq: 1, changes: [] });
    expect(log.at(-1)).toBe("synced 1");
  });

  test("[V5] tells which changes a snapshot leaves untold", () => {
    const { clock, transport, log } = startJoined();
    transport.link.cut();
    clock.advance(500);
    transport.link.accept();
    transport.link.last("project:join").answer?.({ ...snapshot, reason: "too_far", seq: 5_000 });
    expect(log.slice(-2)).toEqual(["reset too_far 1-5000", "synced 5000"]);
  });

  test("[F14] goes on from a conflated frame", () => {
    const { follower, transport, log } = startJoined();
    const changes = [created(4), created(6)];
    transport.link.emit("changes", { project_id: "p", epoch: "e", from_seq: 2, to_seq: 6, changes, conflated: true });
    transport.link.emit("changes", frame(7, 7));
    expect(log.slice(2)).toEqual(["change 4", "change 6", "change 7"]);
    expect([...follower.sessions.keys()]).toEqual(["s1", "s4", "s6", "s7"]);
    expect(follower.position).toEqual({ epoch: "e", seq: 7 });
    expect(transport.link.all("project:join")).toHaveLength(1);
  });

  test("[F23] closed for reading too slowly, it comes back with its since after the pause that it was asked for", () => {
    const { clock, transport } = startJoined();
    const link = transport.link;
    transport.link.emit("changes", frame(2, 3));
    const closing = { code: "SLOW_CONSUMER", message: "", reconnect: true, reconnect_after_ms: 5_000 };
    transport.link.emit("closing", closing);
    transport.link.cut();
    clock.advance(4_999);
    expect(transport.link).toBe(link);
    clock.advance(1_251);
    transport.link.accept();
    expect(transport.link.last("project:join").payload.since).toEqual({ epoch: "e", seq: 3 });
  });

  test("[F16] a reset is a join without since", () => {
    const { transport } = startJoined();
    transport.link.emit("project:reset", { project_id: "p", reason: "rebuilt" });
    expect(transport.link.last("project:join").payload).toEqual({ project_id: "p" });
  });

  test("[V6] fetches all pages, and applies what came meanwhile after them", () => {
    const { follower, transport, log } = start();
    transport.link.accept();
    transport.link.last("project:join").answer?.({ ...snapshot, next_cursor: "c1" });
    transport.link.emit("changes", frame(2, 2));
    expect(transport.link.last("project:snapshot").payload).toEqual({ project_id: "p", cursor: "c1" });
    const page = { ok: true, epoch: "e", seq: 1, tasks: [], sessions: [session("s0", 1)] };
    transport.link.last("project:snapshot").answer?.(page);
    expect([...follower.sessions.keys()]).toEqual(["s1", "s0", "s2"]);
    expect(log).toEqual(["reset first 0-1", "change 2", "synced 2"]);
  });

  test("[V7] a cursor that is gone begins the snapshot anew", () => {
    const { transport } = start();
    transport.link.accept();
    transport.link.last("project:join").answer?.({ ...snapshot, next_cursor: "c1" });
    transport.link.last("project:snapshot").answer?.(refusal("GONE"));
    expect(transport.link.all("project:join")).toHaveLength(2);
  });

  test("an answer to a former join is not taken for the present one", () => {
    const { follower, transport } = startJoined();
    transport.link.emit("position", { project_id: "p", epoch: "e", seq: 2 });
    const late = transport.link.last("project:join");
    transport.link.cut();
    late.answer?.({ ...snapshot, seq: 99 });
    expect(follower.position.seq).toBe(1);
  });

  test("a refused join is final, an unavailable hub is asked again", async () => {
    const { follower, clock, transport } = start();
    transport.link.accept();
    transport.link.last("project:join").answer?.(refusal("UNAVAILABLE", { retry_after_ms: 300 }));
    clock.advance(300);
    transport.link.last("project:join").answer?.(refusal("FORBIDDEN"));
    await expect(follower.ready).rejects.toMatchObject({ code: "FORBIDDEN" });
    expect(follower.state).toMatchObject({ name: "stopped", why: "failed" });
  });

  test("frames of other projects are not its own", () => {
    const { follower, transport } = startJoined();
    transport.link.emit("changes", { ...frame(2, 2), project_id: "q" });
    expect(follower.position.seq).toBe(1);
  });

  test("[F12] keeps the newest heartbeats of the sessions it holds", () => {
    const { follower, transport } = startJoined({ heartbeats: true });
    const sessions = { s1: { last_heartbeat_at: at, progress: 0.5 }, unknown: { last_heartbeat_at: at } };
    transport.link.emit("heartbeats", { project_id: "p", at, sessions });
    expect([...follower.beats]).toEqual([["s1", { last_heartbeat_at: at, progress: 0.5 }]]);
  });

  test("[R41] shows sessions as the hub does, with the heartbeats and the time that the hub tells", () => {
    const { follower, clock, transport } = start({ heartbeats: true });
    expect(follower.hubTime).toBeUndefined();
    transport.link.accept({ stalled_after_ms: 60_000 });
    transport.link.last("project:join").answer?.(snapshot);
    expect([follower.display("s1")?.state, follower.display("none")]).toEqual(["working", undefined]);
    const heard = { last_heartbeat_at: "2026-11-22T06:01:00.000Z", last_activity_at: at };
    transport.link.emit("heartbeats", { project_id: "p", at, sessions: { s1: heard } });
    expect(follower.display("s1")).toMatchObject({ state: "stalled", since: at });
    clock.advance(500);
    expect(follower.hubTime).toBe(Date.parse(at) + 500);
  });

  test("[F11] knows as of when it held everything: when the hub last spoke while it was in step", () => {
    const { follower, clock, transport } = start({ heartbeats: true });
    const asOf = () => follower.asOf && follower.asOf - Date.parse(at);
    transport.link.accept();
    expect(asOf()).toBeUndefined();
    clock.advance(100);
    transport.link.last("project:join").answer?.(snapshot);
    expect(asOf()).toBe(100);
    clock.advance(100);
    transport.link.emit("position", { project_id: "p", epoch: "e", seq: 1 });
    expect(asOf()).toBe(200);
    clock.advance(100);
    transport.link.emit("heartbeats", { project_id: "p", at, sessions: {} });
    expect(asOf()).toBe(300);
    clock.advance(100);
    transport.link.emit("changes", frame(5, 5));
    transport.link.emit("heartbeats", { project_id: "p", at, sessions: {} });
    expect(asOf(), "a hole").toBe(300);
  });

  test("[F17] knows whether changes of other hubs may be late", () => {
    const { follower, transport } = startJoined();
    transport.link.emit("mode", { mode: "degraded", reason: "redis" });
    expect(follower.mode).toBe("degraded");
  });

  test("waitFor settles now, later, never, or with the reason of the end", async () => {
    const { follower, clock, transport } = startJoined();
    await follower.waitFor((one) => one.sessions.has("s1"));
    const later = follower.waitFor((one) => one.sessions.has("s2"), { timeoutMs: 1_000 });
    transport.link.emit("changes", frame(2, 2));
    expect(await later).toBe(follower);
    const never = follower.waitFor(() => false, { timeoutMs: 1_000 });
    clock.advance(1_000);
    await expect(never).rejects.toMatchObject({
      code: "TIMEOUT",
      message: "did not happen within 1000 ms (ready at e:2)",
    });
    const broken = follower.waitFor(() => {
      throw new Error("mine");
    });
    await expect(broken).rejects.toThrow("mine");
    const ended = follower.waitFor(() => false);
    follower.close();
    await expect(ended).rejects.toMatchObject({ code: "CLOSED" });
    expect(clock.pending).toBe(0);
  });
});
