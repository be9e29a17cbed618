import { describe, expect, test } from "vitest";
import { Agent } from "../../client/agent.ts";
import { ProjectFollower } from "../../client/follower.ts";
import { AT, sampleSession } from "../support/entries.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { FakeTransport } from "../support/fake-link.ts";

const url = ["http://a", "http://b"];
const session = sampleSession();
const opened = {
  ok: true,
  session,
  created: true,
  resumed: false,
  incarnation: 1,
  token: "secret",
  last_op: 0,
  epoch: "e",
  seq: 1,
  lease: { interval_ms: 5_000, ttl_ms: 15_000 },
};
const snapshot = { ok: true, mode: "snapshot", reason: "first", epoch: "e", seq: 1, sessions: [session], tasks: [] };

function startAgent() {
  const clock = new FakeClock();
  const transport = new FakeTransport();
  const agent = new Agent({ url, key: "k", agentId: "a" }, transport.connect, clock);
  agent.open({ sessionId: "s", projectId: "p", machineId: "m" });
  return { agent, clock, transport };
}

function startFollower() {
  const clock = new FakeClock();
  const transport = new FakeTransport();
  const follower = new ProjectFollower({ url, key: "k", projectId: "p" }, transport.connect, clock);
  return { follower, clock, transport };
}

describe("a client of several hubs", () => {
  test("[O6] [P12] goes on at another hub at once: same incarnation and token, same op and content", async () => {
    const { agent, clock, transport } = startAgent();
    const first = transport.link;
    first.accept();
    first.last("session:open").answer?.(opened);
    const published = agent.sessions.get("s")?.publish({ kind: "session", metadata: { n: 1 } });
    const sent = first.last("changes:publish").payload;
    first.cut();
    clock.advance(0);
    expect(transport.links).toHaveLength(2);
    expect([first.url, transport.link.url].toSorted()).toEqual(url);
    expect(agent.url).toBe(transport.link.url);
    transport.link.accept({ hub_id: "hub.2" });
    expect(transport.link.last("session:open").payload).toMatchObject({ incarnation: 1, token: "secret" });
    transport.link.last("session:open").answer?.({ ...opened, created: false, resumed: true });
    expect(transport.link.last("changes:publish").payload).toEqual(sent);
    const result = { kind: "session", id: "s", version: 2, seq: 2, changed: true };
    transport.link.last("changes:publish").answer?.({ ok: true, epoch: "e", seq: 2, results: [result] });
    expect(await published).toMatchObject({ seq: 2 });
  });

  test("[V10] [V15] follows on at another hub from its position; what a late frame of the old one says is not heard", () => {
    const { follower, clock, transport } = startFollower();
    const seen: number[] = [];
    follower.on("change", ({ change }) => seen.push(change.seq));
    const first = transport.link;
    first.accept();
    first.last("project:join").answer?.(snapshot);
    first.cut();
    clock.advance(0);
    const second = transport.link;
    expect(second.url).not.toBe(first.url);
    second.accept({ hub_id: "hub.2" });
    expect(second.last("project:join").payload).toMatchObject({ since: { epoch: "e", seq: 1 } });
    const change = { seq: 2, at: AT, kind: "session", id: "s", session_id: "s", version: 2, type: "updated" };
    const missed = { ...change, actor: { kind: "agent", id: "a" }, patch: { status: "IDLE" } };
    second.last("project:join").answer?.({
      ok: true,
      mode: "replay",
      epoch: "e",
      from_seq: 2,
      seq: 2,
      changes: [missed],
    });
    first.isOpen = true;
    first.emit("changes", { project_id: "p", epoch: "e", from_seq: 2, to_seq: 2, changes: [missed] });
    expect(seen).toEqual([2]);
    expect(follower.sessions.get("s")?.status).toBe("IDLE");
  });

  test("[E3] leaves a hub alone that refused with retry_after_ms, and tries the other meanwhile", () => {
    const { agent, clock, transport } = startAgent();
    const refusing = transport.link;
    refusing.refuse("OVERLOADED", "too many", 30_000);
    clock.advance(0);
    let comesBackAt = 0;
    while (comesBackAt === 0 && clock.now() < 60_000) {
      if (transport.link.url === refusing.url) comesBackAt = clock.now();
      else if (transport.link.isOpen) transport.link.refuse("UNREACHABLE");
      clock.advance(100);
    }
    expect(comesBackAt).toBeGreaterThanOrEqual(30_000);
    expect(comesBackAt).toBeLessThan(31_000);
    expect(transport.links.length).toBeGreaterThan(10);
    expect(agent.state.name).toBe("connecting");
  });

  test("[N6] moves to the other hub when one drains, after the pause that it asked for", () => {
    const { clock, transport } = startAgent();
    const draining = transport.link;
    draining.accept();
    draining.last("session:open").answer?.(opened);
    draining.emit("drain", { reconnect_after_ms: 2_000 });
    clock.advance(1_999);
    expect(transport.links).toHaveLength(1);
    clock.advance(1);
    expect(transport.links).toHaveLength(2);
    expect(transport.link.url).not.toBe(draining.url);
  });

  test("[F17] forgets what the hub before said of its mode", () => {
    const { follower, clock, transport } = startFollower();
    transport.link.accept();
    transport.link.emit("mode", { mode: "degraded", reason: "Redis is away" });
    expect(follower.mode).toBe("degraded");
    transport.link.cut();
    clock.advance(0);
    transport.link.accept();
    expect(follower.mode).toBe("live");
  });
});
