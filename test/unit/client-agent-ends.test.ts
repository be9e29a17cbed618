import { describe, expect, test } from "vitest";
import { outcome, published, start, startOpen, step } from "../support/fake-agent.ts";
import { refusal } from "../support/fake-link.ts";

describe("agent and heartbeats", () => {
  test("[B1] beats at once and at the hub's interval, ±10 %, with the latest word", () => {
    const { session, clock, transport } = startOpen();
    clock.advance(0);
    expect(transport.link.all("heartbeat")).toHaveLength(1);
    session.beat({ progress: 0.5, activity: "x".repeat(300) });
    session.beat({ metrics: { cpu: 0.7 } });
    clock.chance = 0.999;
    clock.advance(4_500);
    expect(transport.link.all("heartbeat")).toHaveLength(2);
    expect(transport.link.last("heartbeat").payload).toEqual({
      sessions: [{ session_id: "s", incarnation: 1, progress: 0.5, activity: "x".repeat(200), metrics: { cpu: 0.7 } }],
    });
    clock.advance(5_400);
    expect(transport.link.all("heartbeat")).toHaveLength(2);
    clock.advance(100);
    expect(transport.link.all("heartbeat")).toHaveLength(3);
  });

  test("[N1] follows a new lease from now on", () => {
    const { clock, transport } = startOpen();
    clock.advance(0);
    transport.link.emit("lease", { interval_ms: 1_000, ttl_ms: 3_000 });
    clock.advance(900);
    expect(transport.link.all("heartbeat")).toHaveLength(2);
  });

  test("are never kept for later", () => {
    const all = startOpen();
    all.transport.link.cut();
    all.clock.advance(60_000);
    for (const link of all.transport.links.slice(1)) expect(link.all("heartbeat")).toEqual([]);
  });

  test("[B3] a malformed one is the caller's error", () => {
    const { session } = startOpen();
    expect(() => session.beat({ progress: 7 })).toThrow(expect.objectContaining({ code: "VALIDATION" }));
  });
});

describe("agent loses its session", () => {
  test("[N2] fenced: tells it, answers what waits, and stays away", async () => {
    const { agent, session, clock, transport, happened } = startOpen();
    transport.link.emit("fenced", { session_id: "s", incarnation: 1, reason: "taken" });
    expect(happened("fenced")).toEqual([{ session_id: "s", incarnation: 1, reason: "taken" }]);
    expect(session.state).toMatchObject({ name: "over", why: "fenced" });
    expect(await outcome(session.publish(step(0.1)))).toBe("FENCED");
    clock.advance(60_000);
    expect(transport.link.all("session:open")).toHaveLength(1);
    expect([transport.link.all("heartbeat"), clock.pending, agent.sessions.size]).toEqual([[], 0, 0]);
  });

  test("fenced while an answer is on its way: the answer still counts", async () => {
    const { session, transport, happened } = startOpen();
    const first = session.publish(step(0.1));
    const second = session.publish(step(0.2));
    transport.link.emit("fenced", { session_id: "s", incarnation: 1, reason: "taken" });
    expect(happened("fenced")).toEqual([]);
    transport.link.last("changes:publish").answer?.(published(transport.link));
    expect(await first).toMatchObject({ seq: 2 });
    expect(await outcome(second)).toBe("FENCED");
    expect(happened("fenced")).toHaveLength(1);
  });

  test("[P19] a FENCED publish was not applied", async () => {
    const { session, transport, happened } = startOpen();
    const answer = session.publish(step(0.1));
    transport.link.last("changes:publish").answer?.(refusal("FENCED"));
    await expect(answer).rejects.toMatchObject({ code: "FENCED", details: { reason: "taken" } });
    expect(happened("fenced")).toHaveLength(1);
  });

  test.each([
    ["ALREADY_OWNED", "taken"],
    ["FENCED", "taken"],
    ["INVALID_TRANSITION", "ended"],
  ])("[N3] %s when it comes back means %s", (code, reason) => {
    const all = startOpen();
    all.transport.link.cut();
    all.clock.advance(500);
    all.transport.link.accept();
    all.transport.link.last("session:open").answer?.(refusal(code));
    expect(all.happened("fenced")).toEqual([{ session_id: "s", incarnation: 1, reason }]);
    expect(all.session.state).toMatchObject({ name: "over", why: "fenced" });
  });

  test("[N5] someone else ends it: changed, then fenced", () => {
    const { transport, happened } = startOpen();
    const change = {
      session_id: "s",
      version: 3,
      patch: { status: "CANCELLED" },
      actor: { kind: "operator", id: "o" },
    };
    transport.link.emit("session", change);
    transport.link.emit("fenced", { session_id: "s", incarnation: 1, reason: "ended" });
    expect(happened("changed")).toEqual([change]);
    expect(happened("fenced")).toEqual([{ session_id: "s", incarnation: 1, reason: "ended" }]);
  });

  test("[S4] a refused edit of an ended session ends the agent too", async () => {
    const { session, transport, happened } = startOpen();
    const answer = session.publish({ kind: "session", status: "IDLE" });
    const details = { from: "CANCELLED", to: "IDLE", allowed: [] };
    transport.link.last("changes:publish").answer?.(refusal("INVALID_TRANSITION", { details }));
    expect(await outcome(answer)).toBe("INVALID_TRANSITION");
    expect(happened("fenced")).toMatchObject([{ reason: "ended" }]);
  });

  test("[S2] a refused edit of an ended task does not", async () => {
    const { agent, session, transport } = startOpen();
    session.publish({ kind: "task", task_id: "t", status: "PENDING" });
    const details = { from: "COMPLETED", to: "PENDING", allowed: [] };
    transport.link.last("changes:publish").answer?.(refusal("INVALID_TRANSITION", { details }));
    expect(agent.state.name).toBe("ready");
  });

  test("changes of other sessions are not its own", () => {
    const { agent, transport, happened } = startOpen();
    transport.link.emit("fenced", { session_id: "other", incarnation: 1, reason: "taken" });
    transport.link.emit("session", { session_id: "other", version: 2, patch: {}, actor: { kind: "hub", id: "h" } });
    expect([agent.state.name, happened("changed")]).toEqual(["ready", []]);
  });
});

describe("agent ends", () => {
  test("[C1] close delivers what waits, then ends the session", async () => {
    const { agent, session, clock, transport } = startOpen();
    const answer = session.publish(step(0.1));
    const closed = session.close("COMPLETED", { exit_code: 0 });
    expect(await outcome(session.publish(step(0.2)))).toBe("CLOSED");
    expect(transport.link.all("session:close")).toEqual([]);
    transport.link.last("changes:publish").answer?.(published(transport.link));
    expect(await answer).toMatchObject({ seq: 2 });
    expect(transport.link.last("session:close").payload).toEqual({
      session_id: "s",
      incarnation: 1,
      op: 2,
      status: "COMPLETED",
      metadata: { exit_code: 0 },
    });
    transport.link.last("session:close").answer?.({ ok: true, epoch: "e", seq: 3, results: [] });
    expect(await closed).toMatchObject({ seq: 3 });
    expect(session.state).toMatchObject({ name: "over", why: "closed" });
    expect(await session.close()).toMatchObject({ seq: 3 });
    await agent.close();
    expect(agent.state).toMatchObject({ name: "stopped", why: "closed" });
    expect([transport.link.isOpen, clock.pending]).toEqual([false, 0]);
  });

  test("[P21] a close whose answer was lost is settled after the end", async () => {
    const all = startOpen();
    const closed = all.session.close("FAILED");
    all.transport.link.cut();
    all.clock.advance(500);
    all.transport.link.accept();
    all.transport.link.last("session:open").answer?.(refusal("INVALID_TRANSITION"));
    expect(all.transport.link.last("session:close").payload).toMatchObject({ op: 1, status: "FAILED" });
    all.transport.link.last("session:close").answer?.({ ok: true, epoch: "e", seq: 3, results: [], duplicate: true });
    expect(await closed).toMatchObject({ duplicate: true });
    expect(all.happened("fenced")).toEqual([]);
  });

  test("a refused close leaves the session open for another", async () => {
    const { agent, session, transport } = startOpen();
    const closed = session.close("COMPLETED", { text: "long" });
    transport.link.last("session:close").answer?.(refusal("PAYLOAD_TOO_LARGE"));
    expect(await outcome(closed)).toBe("PAYLOAD_TOO_LARGE");
    expect(agent.state.name).toBe("ready");
    session.close("COMPLETED");
    expect(transport.link.all("session:close")).toHaveLength(2);
  });

  test("close gives up after its time and says what was not delivered", async () => {
    const { agent, session, clock } = start();
    const answer = session.publish(step(0.1));
    const closed = agent.close({ status: "COMPLETED", timeoutMs: 1_000 });
    expect(() => agent.open({ sessionId: "late" })).toThrow(expect.objectContaining({ code: "CLOSED" }));
    clock.advance(1_000);
    await expect(closed).rejects.toMatchObject({
      code: "TIMEOUT",
      details: { undelivered: 2, sessions: [{ session_id: "s", project_id: "p", undelivered: 2 }], kept: false },
    });
    expect(await outcome(answer)).toBe("TIMEOUT");
    expect(session.state).toMatchObject({ name: "over", why: "left" });
    expect(agent.state).toMatchObject({ name: "stopped", why: "closed" });
    expect(clock.pending).toBe(0);
  });

  test("[P23] a publish with a final status is an end as well", async () => {
    const { session, transport } = startOpen();
    const last = session.publish({ kind: "session", status: "COMPLETED" });
    transport.link.last("changes:publish").answer?.(published(transport.link));
    expect(await last).toMatchObject({ seq: 2 });
    expect(session.state).toMatchObject({ name: "over", why: "closed" });
    expect(await outcome(session.publish(step(0.1)))).toBe("CLOSED");
  });

  test("disconnect leaves the session open and answers what waits", async () => {
    const { agent, session, clock, transport, happened } = startOpen();
    const answer = session.publish(step(0.1));
    agent.disconnect();
    expect(await outcome(answer)).toBe("CLOSED");
    expect(transport.link.all("session:close")).toEqual([]);
    expect([transport.link.isOpen, clock.pending, happened("error")]).toEqual([false, 0, []]);
  });

  test("flush waits for every answer", async () => {
    const { session, transport } = startOpen();
    session.publish(step(0.1));
    session.publish(step(0.2));
    const flushed = session.flush();
    transport.link.last("changes:publish").answer?.(published(transport.link));
    expect(await outcome(flushed)).toBe("pending");
    transport.link.last("changes:publish").answer?.(refusal("VALIDATION"));
    expect(await outcome(flushed)).toBeUndefined();
    await session.flush();
  });
});
