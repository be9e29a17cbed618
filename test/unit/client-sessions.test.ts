import { describe, expect, test } from "vitest";
import { Agent } from "../../client/agent.ts";
import type { AgentSession } from "../../client/agent-session.ts";
import type { AgentOptions } from "../../client/agent-types.ts";
import type { StateHubError } from "../../client/errors.ts";
import type { OutboxDepth } from "../../client/outbox-budget.ts";
import type { SessionStatus } from "../../shared/entities.ts";
import { DEFAULT_LIMITS } from "../../shared/limits.ts";
import type { Edit } from "../../shared/messages/changes-publish.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { type FakeLink, FakeTransport, refusal } from "../support/fake-link.ts";

const lease = { interval_ms: 5_000, ttl_ms: 15_000 };

function start(options: Partial<AgentOptions> = {}) {
  const clock = new FakeClock();
  const transport = new FakeTransport();
  const agent = new Agent({ url: "http://hub", key: "k", agentId: "a", ...options }, transport.connect, clock);
  return { agent, clock, transport };
}

function openedAs(session_id: string, extra: { status?: SessionStatus } = {}): object {
  const { status = "ACTIVE" } = extra;
  const session = { session_id, project_id: "p", status, metadata: {}, version: 5 };
  const first = { ok: true, session, created: true, resumed: false, incarnation: 1, token: `t-${session_id}` };
  return { ...first, last_op: 0, epoch: "e", seq: 1, lease };
}

/** Answers every request to open that has no answer yet. */
function openAll(link: FakeLink, from = 0): void {
  for (const { payload, answer } of link.all("session:open").slice(from)) answer?.(openedAs(payload.session_id));
}

/** Answers the session's last publish as applied, with the session at that version. */
function applied(link: FakeLink, session_id: string, version = 6): void {
  const sent = link.all("changes:publish").filter(({ payload }) => payload.session_id === session_id);
  const results = [{ kind: "session", id: session_id, version, seq: version, changed: true }];
  sent.at(-1)?.answer?.({ ok: true, epoch: "e", seq: version, results });
}

function startOpen(options: Partial<AgentOptions> = {}, status: SessionStatus = "ACTIVE") {
  const all = start(options);
  const session = all.agent.open({ sessionId: "s", projectId: "p" });
  all.transport.link.accept();
  all.transport.link.last("session:open").answer?.(openedAs("s", { status }));
  return { ...all, session, link: all.transport.link };
}

const edit = (value: number): Edit => ({ kind: "session", metadata: { value } });
const publishes = (link: FakeLink) => link.all("changes:publish").map(({ payload }) => payload.changes);
const codeOf = (promise: Promise<unknown>) => promise.then(() => "ok").catch((error: StateHubError) => error.code);

describe("agent with many sessions", () => {
  test("opens all of them in one go, and again after every loss, each with its own proof", () => {
    const { agent, clock, transport } = start();
    for (const sessionId of ["s1", "s2", "s3"]) agent.open({ sessionId });
    transport.link.accept();
    expect(transport.link.all("session:open").map(({ payload }) => payload.session_id)).toEqual(["s1", "s2", "s3"]);
    expect(agent.state.name).toBe("opening");
    openAll(transport.link);
    expect(agent.state.name).toBe("ready");
    transport.link.cut();
    clock.advance(1_000);
    transport.link.accept();
    expect(transport.link.all("session:open").map(({ payload }) => payload.token)).toEqual(["t-s1", "t-s2", "t-s3"]);
  });

  test("[P15] publishes of several sessions are under way at once, one of each", () => {
    const { agent, transport } = start();
    const [one, other] = [agent.open({ sessionId: "s1" }), agent.open({ sessionId: "s2" })];
    transport.link.accept();
    openAll(transport.link);
    for (const session of [one, other]) for (const value of [1, 2]) session.publish(edit(value), { alone: true });
    expect(publishes(transport.link)).toEqual([[edit(1)], [edit(1)]]);
    applied(transport.link, "s2");
    expect(transport.link.last("changes:publish").payload).toMatchObject({ session_id: "s2", op: 2 });
  });

  test("a session opened later changes nothing for the others; one that is fenced or refused neither", () => {
    const { agent, transport } = start();
    const one = agent.open({ sessionId: "s1" });
    transport.link.accept();
    openAll(transport.link);
    const late = agent.open({ sessionId: "s2" });
    expect([agent.state.name, late.state.name]).toEqual(["ready", "opening"]);
    transport.link.last("session:open").answer?.(refusal("ALREADY_OWNED"));
    transport.link.emit("fenced", { session_id: "s2", incarnation: 1, reason: "taken" });
    one.publish(edit(1));
    expect([one.state.name, late.state.name, publishes(transport.link).length]).toEqual(["open", "over", 1]);
    expect([...agent.sessions.keys()]).toEqual(["s1"]);
  });

  test("[O19] refuses a session that it has already, at once and clearly", () => {
    const { agent } = start();
    agent.open({ sessionId: "s1" });
    expect(() => agent.open({ sessionId: "s1" })).toThrow(/open in this agent already/);
    expect(() => agent.open({ sessionId: "s1", projectId: "other" })).toThrow(/cannot hold both/);
  });

  test("[O20] holds as many as the hub allows on a connection, counting ends that wait for delivery", async () => {
    const { agent, transport } = start();
    transport.link.accept({ limits: { ...DEFAULT_LIMITS, sessions_per_connection: 2 } });
    const first = agent.open({ sessionId: "s1" });
    agent.open({ sessionId: "s2" });
    first.close();
    expect(() => agent.open({ sessionId: "s3" })).toThrow(
      expect.objectContaining({ code: "LIMIT_EXCEEDED", details: { limit: 2 } }),
    );
    openAll(transport.link);
    transport.link.last("session:close").answer?.({ ok: true, epoch: "e", seq: 2, results: [] });
    agent.open({ sessionId: "s3" });
  });

  test("[B1] beats for all sessions in one message, for as few as fit where they are too large for one", () => {
    const { agent, clock, transport } = start();
    for (let n = 0; n < 200; n++) agent.open({ sessionId: `s${n}` }).beat({ progress: n / 200 });
    transport.link.accept();
    openAll(transport.link);
    clock.advance(0);
    expect(transport.link.all("heartbeat")).toHaveLength(1);
    expect(transport.link.last("heartbeat").payload.sessions).toHaveLength(200);
    for (const session of agent.sessions.values()) session.beat({ activity: "ä".repeat(200) });
    clock.advance(5_000);
    const frames = transport.link.all("heartbeat").slice(1);
    expect(frames.flatMap(({ payload }) => payload.sessions)).toHaveLength(200);
    expect(frames.length).toBeGreaterThan(2);
    for (const { payload } of frames) expect(Buffer.byteLength(JSON.stringify(payload))).toBeLessThan(32_768);
  });

  test("[B4] proves itself again when a beat is not taken, and stops when it says that another has the session", () => {
    const { clock, link, session } = startOpen();
    clock.advance(0);
    link.last("heartbeat").answer?.({ ok: true, rejected: [{ session_id: "s", code: "NOT_FOUND" }] });
    expect(link.last("session:open").payload).toMatchObject({ incarnation: 1, token: "t-s" });
    link.last("session:open").answer?.(openedAs("s"));
    clock.advance(0);
    link.last("heartbeat").answer?.({ ok: true, rejected: [{ session_id: "s", code: "FENCED" }] });
    expect(session.state).toMatchObject({ name: "over", why: "fenced" });
  });

  test("a beat that is not taken while a publish is under way leaves the word to its answer", () => {
    const { clock, link, session } = startOpen();
    session.close();
    clock.advance(0);
    link.last("heartbeat").answer?.({ ok: true, rejected: [{ session_id: "s", code: "NOT_FOUND" }] });
    expect(link.all("session:open")).toHaveLength(1);
  });
});

describe("agent's outbox", () => {
  test("is bounded over all sessions, tells what to do, and has room again as answers come", async () => {
    const { agent, transport } = start({ outbox: { maxPublishes: 2 } });
    const [one, other] = [agent.open({ sessionId: "s1" }), agent.open({ sessionId: "s2" })];
    one.publish(edit(1));
    other.publish(edit(1));
    await expect(other.publish(edit(2))).rejects.toMatchObject({
      code: "OUTBOX_FULL",
      message: expect.stringMatching(/hub, which is away.* with `latest`/),
      details: { publishes: 2 },
    });
    transport.link.accept();
    openAll(transport.link);
    applied(transport.link, "s1");
    expect(await codeOf(Promise.race([other.publish(edit(2)), Promise.resolve()]))).toBe("ok");
    expect(agent.outbox.publishes).toBe(2);
  });

  test("is told when it changes, once for all that happens in one turn", async () => {
    const { agent } = start();
    const depths: OutboxDepth[] = [];
    agent.on("outbox", (depth) => depths.push(depth));
    const session = agent.open({ sessionId: "s" });
    for (const value of [1, 2, 3]) session.publish(edit(value));
    await Promise.resolve();
    expect(depths).toEqual([agent.outbox]);
    expect(depths[0]).toMatchObject({ publishes: 3, bytes: expect.any(Number) });
    agent.disconnect();
    await Promise.resolve();
    expect(depths.slice(1)).toEqual([{ publishes: 0, bytes: 0 }]);
  });

  test("`latest`: stays at one however often the value changes, and all callers hear the same answer", async () => {
    const { agent, transport } = start();
    const session = agent.open({ sessionId: "s" });
    const answers = Array.from({ length: 1_000 }, (_, value) => session.publish(edit(value), { latest: true }));
    expect(agent.outbox.publishes).toBe(1);
    expect(new Set(answers).size).toBe(1);
    transport.link.accept();
    openAll(transport.link);
    expect(publishes(transport.link)).toEqual([[edit(999)]]);
    applied(transport.link, "s");
    expect(await answers[0]).toMatchObject({ seq: 6 });
  });

  test("`latest`: what is under way is never changed", () => {
    const { link, session } = startOpen();
    for (const value of [1, 2, 3]) session.publish(edit(value), { latest: true });
    expect(publishes(link)).toEqual([[edit(1)]]);
    applied(link, "s");
    expect(publishes(link)).toEqual([[edit(1)], [edit(3)]]);
  });
});

describe("session says what it is at", () => {
  const beatOf = (link: FakeLink) => link.last("heartbeat").payload.sessions[0];

  test("working: by heartbeat alone while it is ACTIVE", async () => {
    const { clock, link, session } = startOpen();
    await session.working("compiling", 0.4);
    clock.advance(0);
    expect(beatOf(link)).toEqual({ session_id: "s", incarnation: 1, activity: "compiling", progress: 0.4 });
    await session.working("linking");
    clock.advance(5_500);
    expect(beatOf(link)).toEqual({ session_id: "s", incarnation: 1, activity: "linking" });
    expect(publishes(link)).toEqual([]);
  });

  test("waiting, then working: the question is published, the activity is gone, and ACTIVE is published once", async () => {
    const { clock, link, session } = startOpen();
    session.working("deploying");
    const deadline = new Date("2026-11-22T07:00:00.000Z");
    session.waiting("Deploy?", { kind: "permission", options: ["yes", "no"], deadline });
    expect(publishes(link)).toEqual([
      [
        {
          kind: "session",
          status: "WAITING",
          waiting_for: {
            kind: "permission",
            question: "Deploy?",
            options: ["yes", "no"],
            deadline: "2026-11-22T07:00:00.000Z",
          },
        },
      ],
    ]);
    clock.advance(0);
    expect(beatOf(link)).toEqual({ session_id: "s", incarnation: 1 });
    applied(link, "s", 6);
    expect(session.current).toMatchObject({ status: "WAITING", version: 6 });
    session.working("deploying");
    session.working("still deploying");
    applied(link, "s", 7);
    await session.working("nearly there");
    expect(publishes(link).slice(1)).toEqual([[{ kind: "session", status: "ACTIVE" }]]);
  });

  test.each(["idle", "paused"] as const)("%s: published when it is not so already", async (method) => {
    const { link, session } = startOpen();
    session[method]();
    session[method]();
    applied(link, "s");
    await session[method]();
    expect(publishes(link)).toEqual([[{ kind: "session", status: method.toUpperCase() }]]);
  });

  test("before the first open nobody knows the status, so it is said", () => {
    const { agent, transport } = start();
    const session = agent.open({ sessionId: "s" });
    session.working("compiling");
    session.working("linking");
    transport.link.accept();
    transport.link.last("session:open").answer?.(openedAs("s", { status: "WAITING" }));
    expect(publishes(transport.link)).toEqual([[{ kind: "session", status: "ACTIVE" }]]);
  });

  test("[N4] what an operator changes is followed, whichever notice comes first", async () => {
    const { link, session } = startOpen();
    const byOperator = { session_id: "s", actor: { kind: "operator", id: "o" } };
    session.idle();
    link.emit("session", { ...byOperator, version: 7, patch: { metadata: { priority: "high" } } });
    applied(link, "s", 6);
    expect(session.current).toMatchObject({ status: "IDLE", version: 7, metadata: { priority: "high" } });
    link.emit("session", { ...byOperator, version: 8, patch: { status: "PAUSED" } });
    await Promise.resolve();
    expect(session.status).toBe("PAUSED");
    await session.paused();
    expect(publishes(link)).toHaveLength(1);
    session.working("again");
    expect(publishes(link)[1]).toEqual([{ kind: "session", status: "ACTIVE" }]);
  });

  test("what is malformed is an error event and a rejection, never the end of the program", async () => {
    const { session } = startOpen();
    const errors: string[] = [];
    session.on("error", (error) => errors.push(error.code));
    expect(await codeOf(session.working("x", 7))).toBe("VALIDATION");
    expect(await codeOf(session.waiting("x".repeat(3_000)))).toBe("VALIDATION");
    expect(errors).toEqual(["VALIDATION", "VALIDATION"]);
  });
});

describe("session's tasks", () => {
  /** What the hub would see of a task, one publish after the other. */
  function told(use: (session: AgentSession) => void): Edit[] {
    const { link, session } = startOpen();
    use(session);
    for (let seen = 0; seen < link.all("changes:publish").length; seen++) applied(link, "s");
    return publishes(link).flat();
  }

  test("begin, progress, done", () => {
    const edits = told((session) => {
      const task = session.task("Compile the server", { metadata: { files: 3 } });
      expect(task.id).toBe("Compile-the-server");
      task.progress(0.2);
      task.progress(0.5, { step: 2 });
      task.done();
    });
    const task_id = "Compile-the-server";
    expect(edits).toEqual([
      { kind: "task", task_id, title: "Compile the server", status: "IN_PROGRESS", metadata: { files: 3 } },
      { kind: "task", task_id, progress: 1, metadata: { step: 2 }, status: "COMPLETED" },
    ]);
  });

  test.each<[string, (session: AgentSession) => void, string[]]>([
    [
      "planned, then failed",
      (one) => one.task("t", { status: "PENDING" }).failed("no"),
      ["PENDING", "IN_PROGRESS", "FAILED"],
    ],
    ["planned, then cancelled", (one) => one.task("t", { status: "PENDING" }).cancelled(), ["PENDING", "CANCELLED"]],
    [
      "planned, then done",
      (one) => one.task("t", { status: "PENDING" }).done(),
      ["PENDING", "IN_PROGRESS", "COMPLETED"],
    ],
    [
      "blocked, then done",
      (one) => {
        const task = one.task("t");
        task.blocked("disk full");
        task.done();
      },
      ["IN_PROGRESS", "BLOCKED", "IN_PROGRESS", "COMPLETED"],
    ],
    [
      "failed, then tried again",
      (one) => {
        const task = one.task("t");
        task.failed();
        task.started();
      },
      ["IN_PROGRESS", "FAILED", "PENDING", "IN_PROGRESS"],
    ],
  ])("[S2] %s takes every step that the protocol asks for", (_, use, statuses) => {
    expect(told(use).map((one) => one.status)).toEqual(statuses);
  });

  test("reasons are kept; ids of titles without usable characters are the same every time", () => {
    const edits = told((session) => {
      session.task("構築").failed("no space left");
      expect(session.task("構築").id).toMatch(/^task-[0-9a-f]{8}$/);
    });
    expect(edits[1]).toMatchObject({ status: "FAILED", metadata: { reason: "no space left" } });
    expect(new Set(edits.map((one) => one.kind === "task" && one.task_id)).size).toBe(1);
  });
});

describe("agent's end", () => {
  test("close without a status delivers what waits and leaves the sessions open", async () => {
    const { agent, link, session } = startOpen();
    session.publish(edit(1));
    const closed = agent.close();
    expect(await codeOf(session.publish(edit(2)))).toBe("CLOSED");
    expect(agent.state.name).toBe("ready");
    applied(link, "s");
    await closed;
    expect(link.all("session:close")).toEqual([]);
    expect([agent.state.name, link.isOpen, session.state]).toMatchObject(["stopped", false, { why: "left" }]);
  });

  test("close with a status ends every session first", async () => {
    const { agent, transport } = start();
    for (const sessionId of ["s1", "s2"]) agent.open({ sessionId });
    transport.link.accept();
    openAll(transport.link);
    const closed = agent.close({ status: "CANCELLED" });
    const closes = transport.link.all("session:close");
    expect(closes.map(({ payload }) => [payload.session_id, payload.status])).toEqual([
      ["s1", "CANCELLED"],
      ["s2", "CANCELLED"],
    ]);
    for (const { answer } of closes) answer?.({ ok: true, epoch: "e", seq: 2, results: [] });
    await closed;
    expect(agent.state).toMatchObject({ name: "stopped", why: "closed" });
  });

  test("an end finds its place in a full outbox; one that cannot be taken is told by close", async () => {
    const { agent, transport } = start({ outbox: { maxPublishes: 1 } });
    const session = agent.open({ sessionId: "s" });
    session.publish(edit(1));
    const closed = agent.close({ status: "COMPLETED" });
    transport.link.accept();
    openAll(transport.link);
    applied(transport.link, "s");
    transport.link.last("session:close").answer?.(refusal("PAYLOAD_TOO_LARGE"));
    await expect(closed).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
  });

  test("a key that the hub does not take is told with what it concerns", async () => {
    const { agent, transport } = start();
    const errors: StateHubError[] = [];
    agent.on("error", (error) => errors.push(error));
    const session = agent.open({ sessionId: "s" });
    const answer = session.publish(edit(1));
    transport.link.refuse("UNAUTHENTICATED");
    expect(await Promise.all([codeOf(answer), codeOf(session.ready), codeOf(agent.close())])).toEqual(
      Array(3).fill("UNAUTHENTICATED"),
    );
    expect(errors).toMatchObject([{ details: { undelivered: 1, kept: false } }]);
  });

  test("[E3] comes back when the hub asked for it, evenly spread", () => {
    const { clock, transport } = start();
    transport.link.refuse("OVERLOADED", "full", 4_000);
    clock.advance(3_999);
    expect(transport.links).toHaveLength(1);
    clock.chance = 0.5;
    clock.advance(1);
    expect(transport.links).toHaveLength(2);
    transport.link.cut();
    // The second attempt: half of 2 s.
    clock.advance(1_000);
    expect(transport.links).toHaveLength(2);
    clock.advance(30);
    expect(transport.links).toHaveLength(3);
  });
});
