import { describe, expect, test } from "vitest";
import { DEFAULT_LIMITS } from "../../shared/limits.ts";
import type { Edit } from "../../shared/messages/changes-publish.ts";
import { comeBack, entity, opened, outcome, published, start, startOpen, step } from "../support/fake-agent.ts";
import { refusal } from "../support/fake-link.ts";

describe("agent opens its session", () => {
  test("[O1] and tells who, where and what it is", async () => {
    const { agent, session, transport } = start({
      session: { sessionId: "s", projectId: "p", machineId: "m", metadata: { a: 1 }, parentSessionId: "q" },
    });
    transport.link.accept();
    expect(transport.link.last("session:open").payload).toEqual({
      session_id: "s",
      project_id: "p",
      machine_id: "m",
      metadata: { a: 1 },
      parent_session_id: "q",
    });
    expect(agent.state.name).toBe("opening");
    transport.link.last("session:open").answer?.(opened());
    expect(agent.state.name).toBe("ready");
    expect(await session.ready).toEqual({ session: entity, created: true, resumed: false });
  });

  test("[O6] again after every loss, with incarnation and token and without the takeover", () => {
    const all = start({ session: { sessionId: "s", machineId: "m", takeover: true } });
    all.transport.link.accept();
    expect(all.transport.link.last("session:open").payload).toMatchObject({ takeover: true });
    all.transport.link.last("session:open").answer?.(opened({ incarnation: 4 }));
    all.transport.link.cut();
    expect(all.agent.state).toMatchObject({ name: "waiting", attempt: 1 });
    all.clock.advance(500);
    all.transport.link.accept();
    expect(all.transport.link.last("session:open").payload).toMatchObject({
      incarnation: 4,
      token: "secret",
      takeover: false,
    });
  });

  test("keeps trying while the hub is away, with growing pauses, and may be used meanwhile", async () => {
    const all = start();
    const answer = all.session.publish(step(0.1));
    for (let attempt = 1; attempt <= 6; attempt++) {
      all.transport.link.cut();
      expect(all.agent.state).toMatchObject({ name: "waiting", attempt });
      all.clock.advance(5_000);
    }
    expect(all.transport.links).toHaveLength(7);
    all.transport.link.accept();
    all.transport.link.last("session:open").answer?.(opened());
    all.transport.link.last("changes:publish").answer?.(published(all.transport.link));
    expect(await answer).toMatchObject({ epoch: "e", seq: 2 });
  });

  test("gives a hub up that neither accepts nor refuses", () => {
    const { agent, clock } = start({ connectTimeoutMs: 1_000 });
    clock.advance(1_000);
    expect(agent.state).toMatchObject({ name: "waiting", attempt: 1 });
  });

  test.each(["UNAVAILABLE", "OVERLOADED", "RATE_LIMITED", "DRAINING", "INTERNAL"])(
    "[E2] asks again on the same connection after %s",
    (code) => {
      const { agent, clock, transport } = start();
      transport.link.accept();
      transport.link.last("session:open").answer?.(refusal(code, { retry_after_ms: 700 }));
      clock.advance(699);
      expect(transport.link.all("session:open")).toHaveLength(1);
      clock.advance(1);
      expect(transport.link.all("session:open")).toHaveLength(2);
      expect(agent.state.name).toBe("opening");
    },
  );

  test.each(["ALREADY_OWNED", "VALIDATION", "FORBIDDEN", "INVALID_TRANSITION", "LIMIT_EXCEEDED"])(
    "is told by %s that it never will, and gives the session up",
    async (code) => {
      const { agent, session, transport, happened } = start();
      const waiting = session.publish(step(0.1));
      transport.link.accept();
      transport.link.last("session:open").answer?.(refusal(code));
      expect(session.state).toMatchObject({ name: "over", why: "failed", error: { code } });
      expect(await outcome(session.ready)).toBe(code);
      expect(await outcome(waiting)).toBe(code);
      expect(await outcome(session.publish(step(0.2)))).toBe(code);
      expect(happened("error").length).toBeGreaterThan(0);
      expect([agent.state.name, agent.sessions.size]).toEqual(["ready", 0]);
    },
  );

  test.each(["UNAUTHENTICATED", "VALIDATION", "FORBIDDEN"])("[H4] %s in the handshake is final", async (code) => {
    const { session, clock, transport } = start();
    transport.link.refuse(code);
    clock.advance(60_000);
    expect(transport.links).toHaveLength(1);
    expect(await outcome(session.ready)).toBe(code);
  });

  test("[H4] a handshake that is only put off is tried again when the hub said", () => {
    const { clock, transport } = start();
    transport.link.refuse("RATE_LIMITED", "slowly", 8_000);
    clock.advance(7_999);
    expect(transport.links).toHaveLength(1);
    clock.advance(1);
    expect(transport.links).toHaveLength(2);
  });

  test("[H7] closing tells when to come back, or to stay away", () => {
    const first = startOpen();
    first.transport.link.emit("closing", { code: "DRAINING", message: "", reconnect: true, reconnect_after_ms: 9_000 });
    first.transport.link.cut();
    first.clock.advance(8_999);
    expect(first.transport.links).toHaveLength(1);
    first.clock.advance(1);
    expect(first.transport.links).toHaveLength(2);

    const second = startOpen();
    second.transport.link.emit("closing", { code: "KEY_REVOKED", message: "revoked", reconnect: false });
    expect(second.agent.state).toMatchObject({ name: "stopped", why: "failed", error: { code: "KEY_REVOKED" } });
  });

  test("[N6] moves to another hub when asked", () => {
    const { agent, clock, transport } = startOpen();
    transport.link.emit("drain", { reconnect_after_ms: 2_000 });
    clock.advance(1_999);
    expect(agent.state.name).toBe("ready");
    clock.advance(1);
    expect(agent.state.name).toBe("connecting");
    expect(transport.links).toHaveLength(2);
  });

  test("refuses at once what could never work", () => {
    const bad = [
      { sessionId: "no spaces" },
      { sessionId: "s", status: "DONE" as never },
      { sessionId: "s", metadata: 1 as never },
    ];
    for (const one of bad)
      expect(() => start({ session: one })).toThrow(expect.objectContaining({ code: "VALIDATION" }));
  });
});

describe("agent publishes", () => {
  test("[P15] one at a time, merging what waits into the next", async () => {
    const { session, transport } = startOpen();
    const answers = [0.1, 0.2, 0.3].map((value) => session.publish(step(value)));
    expect(transport.link.all("changes:publish")).toHaveLength(1);
    expect(transport.link.last("changes:publish").payload).toEqual({
      session_id: "s",
      incarnation: 1,
      op: 1,
      changes: [step(0.1)],
    });
    transport.link.last("changes:publish").answer?.(published(transport.link));
    expect(transport.link.last("changes:publish").payload).toMatchObject({ op: 2, changes: [step(0.3)] });
    expect(await outcome(answers[1] as Promise<unknown>)).toBe("pending");
    transport.link.last("changes:publish").answer?.(published(transport.link, { seq: 3 }));
    expect(await Promise.all(answers)).toMatchObject([{ seq: 2 }, { seq: 3 }, { seq: 3 }]);
    expect(session.undelivered).toBe(0);
  });

  test("[O12] with ops above the last one of a resumed incarnation", () => {
    const { session, transport } = start();
    transport.link.accept();
    transport.link.last("session:open").answer?.(opened({ last_op: 7 }));
    session.publish(step(0.1));
    expect(transport.link.last("changes:publish").payload.op).toBe(8);
  });

  test("[D9] the very same op and content after a lost connection", async () => {
    const all = startOpen();
    const answer = all.session.publish(step(0.1));
    const sent = all.transport.link.last("changes:publish").payload;
    all.session.publish(step(0.2));
    all.transport.link.cut();
    comeBack(all);
    expect(all.transport.link.last("changes:publish").payload).toEqual(sent);
    all.transport.link.last("changes:publish").answer?.(published(all.transport.link, { duplicate: true }));
    expect(await answer).toMatchObject({ duplicate: true });
    expect(all.transport.link.last("changes:publish").payload).toMatchObject({ op: 2, changes: [step(0.2)] });
  });

  test("[D9] the very same op and content when no answer comes", () => {
    const all = startOpen({ requestTimeoutMs: 1_000 });
    all.session.publish(step(0.1));
    const sent = all.transport.link.last("changes:publish").payload;
    all.clock.advance(1_000);
    expect(all.agent.state).toMatchObject({ name: "waiting", cause: { code: "TIMEOUT" } });
    comeBack(all);
    expect(all.transport.link.last("changes:publish").payload).toEqual(sent);
  });

  test.each(["UNAVAILABLE", "TIMEOUT", "INTERNAL", "OVERLOADED", "RATE_LIMITED", "DRAINING"])(
    "[E2] the very same op and content after %s and a pause",
    async (code) => {
      const { session, clock, transport, happened } = startOpen();
      const answer = session.publish(step(0.1));
      session.publish(step(0.2));
      const sent = transport.link.last("changes:publish").payload;
      transport.link.last("changes:publish").answer?.(refusal(code, { retry_after_ms: 400 }));
      clock.advance(399);
      expect(transport.link.all("changes:publish")).toHaveLength(1);
      clock.advance(1);
      expect(transport.link.last("changes:publish").payload).toEqual(sent);
      transport.link.last("changes:publish").answer?.(published(transport.link));
      expect(await answer).toMatchObject({ seq: 2 });
      expect(happened("error")).toEqual([]);
    },
  );

  test("[E11] a code it does not know is treated by its `retryable`", async () => {
    const { session, clock, transport } = startOpen();
    const answer = session.publish(step(0.1));
    transport.link.last("changes:publish").answer?.(refusal("NEW_CODE", { retryable: true }));
    clock.advance(500);
    transport.link.last("changes:publish").answer?.(refusal("OTHER_CODE"));
    expect(await outcome(answer)).toBe("OTHER_CODE");
  });

  test("[P14] a refusal concerns its caller alone; its op is used again", async () => {
    const { session, transport, happened } = startOpen();
    const bad = session.publish(step(0.1));
    transport.link.last("changes:publish").answer?.(refusal("VERSION_CONFLICT", { details: { expected: 1 } }));
    await expect(bad).rejects.toMatchObject({ code: "VERSION_CONFLICT", details: { expected: 1 }, requestId: "r1" });
    expect(happened("error")).toHaveLength(1);
    session.publish(step(0.2));
    expect(transport.link.last("changes:publish").payload.op).toBe(1);
  });

  test("a refused shared publish is sent again one by one", async () => {
    const { session, transport } = startOpen();
    const first = session.publish(step(0.1));
    const good = session.publish({ kind: "task", task_id: "good", progress: 1 });
    const bad = session.publish({ kind: "task", task_id: "bad", progress: 1 });
    const late = session.publish({ kind: "task", task_id: "late", progress: 1 });
    transport.link.last("changes:publish").answer?.(published(transport.link));
    expect(transport.link.last("changes:publish").payload).toMatchObject({ op: 2, changes: [{}, {}, {}] });
    transport.link.last("changes:publish").answer?.(refusal("VALIDATION"));
    expect(transport.link.last("changes:publish").payload).toMatchObject({ op: 2, changes: [{ task_id: "good" }] });
    transport.link.last("changes:publish").answer?.(published(transport.link));
    expect(transport.link.last("changes:publish").payload).toMatchObject({ op: 3, changes: [{ task_id: "bad" }] });
    transport.link.last("changes:publish").answer?.(refusal("VALIDATION"));
    expect(transport.link.last("changes:publish").payload).toMatchObject({ op: 3, changes: [{ task_id: "late" }] });
    transport.link.last("changes:publish").answer?.(published(transport.link));
    expect(await Promise.all([first, good, outcome(bad), late])).toMatchObject([{}, {}, "VALIDATION", {}]);
  });

  test("[P20] opens the session again when the hub no longer knows it here", () => {
    const { session, clock, transport } = startOpen();
    session.publish(step(0.1));
    transport.link.last("changes:publish").answer?.(refusal("NOT_FOUND"));
    clock.advance(250);
    expect(session.state.name).toBe("opening");
    expect(transport.link.last("session:open").payload).toMatchObject({ token: "secret" });
    transport.link.last("session:open").answer?.(opened({ resumed: true }));
    expect(transport.link.all("changes:publish")).toHaveLength(2);
    expect(transport.link.last("changes:publish").payload.op).toBe(1);
  });

  test("[D16] an op of a former incarnation stays unknown, later ones go on", async () => {
    const all = startOpen();
    const unknown = all.session.publish(step(0.1));
    const later = all.session.publish(step(0.2));
    all.transport.link.cut();
    comeBack(all, { incarnation: 2, resumed: false });
    await expect(unknown).rejects.toMatchObject({ code: "FENCED", details: { outcome: "unknown" } });
    expect(all.transport.link.last("changes:publish").payload).toMatchObject({ incarnation: 2, op: 1 });
    all.transport.link.last("changes:publish").answer?.(published(all.transport.link));
    expect(await later).toMatchObject({ seq: 2 });
  });

  test("is bounded in count and bytes, and says so", async () => {
    const { session } = start({ outbox: { maxPublishes: 2, maxBytes: 2_000 } });
    session.publish(step(0.1));
    const large = session.publish({ kind: "session", metadata: { text: "x".repeat(2_000) } });
    await expect(large).rejects.toMatchObject({ code: "OUTBOX_FULL", retryable: true });
    session.publish(step(0.2));
    await expect(session.publish(step(0.3))).rejects.toThrow(/2 publishes .* wait for the hub, which is away/);
    expect(session.undelivered).toBe(2);
  });

  test("[L1] a frame above the hub's limit is refused before it is sent", async () => {
    const { session, transport } = start();
    transport.link.accept({ limits: { ...DEFAULT_LIMITS, frame_bytes: 4_096 } });
    transport.link.last("session:open").answer?.(opened());
    const answer = session.publish({ kind: "session", metadata: { text: "x".repeat(4_000) } });
    await expect(answer).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
    expect(transport.link.all("changes:publish")).toEqual([]);
  });

  test("what the hub would refuse for its form is refused at once", async () => {
    const { session, transport } = startOpen();
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    const bad: unknown[] = [
      [],
      { kind: "tsk" },
      { kind: "task", task_id: "t", progress: 2 },
      { kind: "task", task_id: "t", progress: Number.NaN },
      { kind: "session", metadata: { $set: 1 } },
      { kind: "session", metadata: { when: new Date() } },
      { kind: "session", metadata: circle },
      [step(0.1), step(0.2)],
    ];
    for (const one of bad) expect(await outcome(session.publish(one as Edit))).toBe("VALIDATION");
    expect(transport.link.all("changes:publish")).toEqual([]);
  });

  test("keeps what was given, not what became of it", () => {
    const { session, transport } = start();
    const metadata = { a: { b: 1 } };
    session.publish({ kind: "session", metadata });
    metadata.a.b = 2;
    transport.link.accept();
    transport.link.last("session:open").answer?.(opened());
    expect(transport.link.last("changes:publish").payload.changes[0].metadata).toEqual({ a: { b: 1 } });
  });
});
