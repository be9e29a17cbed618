import { describe, expect, test } from "vitest";
import { Agent } from "../../client/agent.ts";
import type { AgentOptions, SessionSpec } from "../../client/agent-types.ts";
import type { StateHubError } from "../../client/errors.ts";
import type { Session } from "../../shared/entities.ts";
import { DEFAULT_LIMITS } from "../../shared/limits.ts";
import type { Edit } from "../../shared/messages/changes-publish.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { type FakeLink, FakeTransport, refusal } from "../support/fake-link.ts";

const at = "2026-11-22T06:00:00.000Z";
const entity: Session = {
  session_id: "s",
  project_id: "p",
  status: "ACTIVE",
  liveness: "online",
  machine_id: "m",
  environment: "production",
  metadata: {},
  incarnation: 1,
  created_at: at,
  updated_at: at,
  version: 1,
  seq: 1,
};
const lease = { interval_ms: 5_000, ttl_ms: 15_000 };

function opened(extra: object = {}): object {
  const first = {
    ok: true,
    session: entity,
    created: true,
    resumed: false,
    incarnation: 1,
    token: "secret",
    last_op: 0,
  };
  return { ...first, epoch: "e", seq: 1, lease, ...extra };
}

function published(link: FakeLink, extra: object = {}): object {
  const changes: Edit[] = link.last("changes:publish").payload.changes;
  const results = changes.map((edit) => ({
    kind: edit.kind,
    id: edit.kind === "task" ? edit.task_id : "s",
    version: 2,
    seq: 2,
    changed: true,
  }));
  return { ok: true, epoch: "e", seq: 2, results, ...extra };
}

interface Extra extends Partial<AgentOptions> {
  readonly session?: SessionSpec;
}

function start({ session: spec, ...extra }: Extra = {}) {
  const clock = new FakeClock();
  const transport = new FakeTransport();
  const agent = new Agent({ url: "http://hub", key: "k", agentId: "a", ...extra }, transport.connect, clock);
  const session = agent.open(spec ?? { sessionId: "s", projectId: "p", machineId: "m" });
  const events: [string, unknown][] = [];
  for (const name of ["opened", "fenced", "changed", "error"] as const) {
    session.on(name, (payload) => events.push([name, payload]));
  }
  const happened = (name: string) => events.filter(([event]) => event === name).map(([, payload]) => payload);
  return { agent, session, clock, transport, happened };
}

function startOpen(extra: Extra = {}) {
  const all = start(extra);
  all.transport.link.accept();
  all.transport.link.last("session:open").answer?.(opened());
  return all;
}

/** How a promise has settled by now: its value, its error's code, or `pending`. */
async function outcome(promise: Promise<unknown>): Promise<unknown> {
  let result: unknown = "pending";
  promise.then(
    (value) => {
      result = value;
    },
    (error: StateHubError) => {
      result = error.code;
    },
  );
  await new Promise(setImmediate);
  return result;
}

const step = (value: number): Edit => ({ kind: "task", task_id: "t", progress: value });

/** The connection breaks and the hub takes the agent back. */
function comeBack({ clock, transport }: ReturnType<typeof start>, answer: object = {}) {
  clock.advance(5_000);
  transport.link.accept();
  transport.link.last("session:open").answer?.(opened({ created: false, resumed: true, ...answer }));
}

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
    expect(agent.state.name).toBe("waiting");
    clock.advance(250);
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
