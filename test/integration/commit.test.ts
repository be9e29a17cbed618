import { afterEach, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { openDatabase } from "../support/log-check.ts";
import { Stage } from "../support/test-hub.ts";
import { agent, viewer } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

const OPEN = { session_id: "s1", machine_id: "m1" };

describe("opening a session", () => {
  test("[O1] [O2] [G15] a new session has the defaults, incarnation 1 and a token", async () => {
    const hub = await stage.hub();
    const wire = await agent(stage, hub, "a1");
    const opened = await wire.askOk("session:open", OPEN);
    expect(opened).toMatchObject({ created: true, resumed: false, incarnation: 1, last_op: 0, seq: 1 });
    expect(opened.token).toMatch(/^[\w-]{43}$/);
    expect(opened.epoch).toMatch(/^[0-9a-f]{16}$/);
    expect(opened.lease).toEqual({ interval_ms: 5000, ttl_ms: 15000 });
    expect(opened.session).toMatchObject({
      session_id: "s1",
      project_id: "default",
      status: "ACTIVE",
      liveness: "online",
      machine_id: "m1",
      agent_id: "a1",
      hub_id: hub.hubId,
      environment: "production",
      metadata: {},
      version: 1,
      seq: 1,
    });
    expect(opened.session.created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test("[O6] [O14] [O18] the token brings the same process back; nothing is logged on the same hub", async () => {
    const hub = await stage.hub();
    const first = await agent(stage, hub, "a1");
    const { incarnation, token } = await first.askOk("session:open", OPEN);
    await first.askOk("changes:publish", {
      session_id: "s1",
      incarnation,
      op: 7,
      changes: [{ kind: "session", metadata: { a: 1 } }],
    });
    const second = await agent(stage, hub, "a1");
    const back = await second.askOk("session:open", { ...OPEN, incarnation, token });
    expect(back).toMatchObject({ created: false, resumed: true, incarnation: 1, last_op: 7, seq: 2 });
    expect(first.messages("fenced")).toEqual([]);
    const publish = { session_id: "s1", incarnation, op: 8, changes: [{ kind: "session", status: "IDLE" }] };
    expect((await first.ask("changes:publish", publish)).error.code).toBe("NOT_FOUND");
    await second.askOk("changes:publish", publish);
  });

  test("[O7] [O13] [O17] [N2] [P19] the owner's newest process takes the session and fences the older", async () => {
    const hub = await stage.hub();
    const old = await agent(stage, hub, "a1");
    const former = await old.askOk("session:open", OPEN);
    const newer = await agent(stage, hub, "a1");
    const taken = await newer.askOk("session:open", OPEN);
    expect(taken).toMatchObject({ created: false, resumed: false, incarnation: 2, last_op: 0 });
    expect(await old.hears("fenced")).toEqual([{ session_id: "s1", incarnation: 1, reason: "taken" }]);
    const late = await old.ask("changes:publish", {
      session_id: "s1",
      incarnation: 1,
      op: 1,
      changes: [{ kind: "session", status: "IDLE" }],
    });
    expect(late.error).toMatchObject({ code: "FENCED", retryable: false });
    const beat = await old.askOk("heartbeat", { sessions: [{ session_id: "s1", incarnation: 1 }] });
    expect(beat.rejected).toEqual([{ session_id: "s1", code: "FENCED" }]);
    const back = await old.ask("session:open", { ...OPEN, incarnation: 1, token: former.token });
    expect(back.error.code).toBe("ALREADY_OWNED");
  });

  test("[O9] [O10] another agent is refused unless it takes over; a forged token gives no right", async () => {
    const hub = await stage.hub();
    const owner = await agent(stage, hub, "a1");
    await owner.askOk("session:open", OPEN);
    const other = await agent(stage, hub, "a2");
    expect((await other.ask("session:open", OPEN)).error.code).toBe("ALREADY_OWNED");
    const forged = await other.ask("session:open", { ...OPEN, incarnation: 1, token: "x".repeat(43) });
    expect(forged.error.code).toBe("ALREADY_OWNED");
    expect(await other.askOk("session:open", { ...OPEN, takeover: true })).toMatchObject({ incarnation: 2 });
  });

  test("[O16] [S4] a final session is not opened again", async () => {
    const hub = await stage.hub();
    const wire = await agent(stage, hub, "a1");
    const { incarnation, token } = await wire.askOk("session:open", OPEN);
    await wire.askOk("session:close", { session_id: "s1", incarnation, op: 1, status: "COMPLETED" });
    const again = await wire.ask("session:open", { ...OPEN, incarnation, token });
    expect(again.error).toMatchObject({ code: "INVALID_TRANSITION", details: { from: "COMPLETED", allowed: [] } });
  });

  test("[O19] one connection cannot hold two sessions with one session_id", async () => {
    const hub = await stage.hub();
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", { ...OPEN, project_id: "p1" });
    expect((await wire.ask("session:open", { ...OPEN, project_id: "p2" })).error.code).toBe("VALIDATION");
  });

  test("[O20] sessions of a connection are limited; ended ones do not count", async () => {
    const hub = await stage.hub({ overrides: { limits: { sessions_per_connection: 2 } } });
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", { ...OPEN, session_id: "a" });
    await wire.askOk("session:open", { ...OPEN, session_id: "b" });
    expect((await wire.ask("session:open", { ...OPEN, session_id: "c" })).error.code).toBe("LIMIT_EXCEEDED");
    await wire.askOk("session:close", { session_id: "a", incarnation: 1, op: 1, status: "COMPLETED" });
    await wire.askOk("session:open", { ...OPEN, session_id: "c" });
  });
});

describe("publishing", () => {
  const publish = (op: number, changes: readonly object[], incarnation = 1) => ({
    session_id: "s1",
    incarnation,
    op,
    changes,
  });

  test("[P5] [P9] [P10] [D1] [D6] a publish is one piece of one entry, and its ack means journaled and projected", async () => {
    const uri = stage.database().uri;
    const hub = await stage.hub({ uri });
    const wire = await agent(stage, hub);
    const { epoch } = await wire.askOk("session:open", OPEN);
    const answer = await wire.askOk(
      "changes:publish",
      publish(1, [
        { kind: "task", task_id: "t1", title: "first" },
        { kind: "session", metadata: { step: 1 } },
        { kind: "task", task_id: "t2", title: "second", status: "IN_PROGRESS", progress: 0.5 },
      ]),
    );
    expect(answer).toEqual({
      ok: true,
      epoch,
      seq: 4,
      results: [
        { kind: "task", id: "t1", version: 1, seq: 2, changed: true },
        { kind: "session", id: "s1", version: 2, seq: 3, changed: true },
        { kind: "task", id: "t2", version: 1, seq: 4, changed: true },
      ],
    });
    const database = await openDatabase(stage, uri);
    const entries = await database.entries("default");
    expect(entries.map((entry) => [entry._id, entry.to_seq])).toEqual([
      [{ p: "default", s: 1 }, 1],
      [{ p: "default", s: 2 }, 4],
    ]);
    expect(entries[1]?.changes.map((change) => [change.seq, change.kind, change.op])).toEqual([
      [2, "task", 1],
      [3, "session", 1],
      [4, "task", 1],
    ]);
    expect(await database.session("default", "s1")).toMatchObject({
      metadata: { step: 1 },
      version: 2,
      seq: 3,
      applied_seq: 4,
      last_op: 1,
      last_op_seq: 4,
    });
    expect((await database.tasks("default")).map((task) => [task.task_id, task.status, task.progress])).toEqual([
      ["t1", "PENDING", undefined],
      ["t2", "IN_PROGRESS", 0.5],
    ]);
  });

  test("[P5] [P26] one bad element refuses the whole publish and is named", async () => {
    const hub = await stage.hub();
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", OPEN);
    const bad = await wire.ask(
      "changes:publish",
      publish(1, [
        { kind: "session", metadata: { a: 1 } },
        { kind: "task", task_id: "t1" },
      ]),
    );
    expect(bad.error).toMatchObject({ code: "VALIDATION", details: { errors: [{ field: "changes[1].title" }] } });
    const good = await wire.askOk("changes:publish", publish(1, [{ kind: "session", metadata: { a: 2 } }]));
    expect(good).toMatchObject({ seq: 2, results: [{ version: 2 }] });
  });

  test("[P12] [P13] [P21] [D5] the last op again gets its original answer, on any connection and after the end", async () => {
    const hub = await stage.hub();
    const wire = await agent(stage, hub, "a1");
    await wire.askOk("session:open", OPEN);
    const changes = [
      { kind: "task", task_id: "t1", title: "x" },
      { kind: "session", metadata: {} },
    ];
    const original = await wire.askOk("changes:publish", publish(3, changes));
    expect(await wire.askOk("changes:publish", publish(3, changes))).toEqual({ ...original, duplicate: true });
    const close = { session_id: "s1", incarnation: 1, op: 4, status: "COMPLETED" };
    const ended = await wire.askOk("session:close", close);
    const other = await agent(stage, hub, "a1");
    expect(await other.askOk("session:close", close)).toEqual({ ...ended, duplicate: true });
    const smaller = await other.ask("changes:publish", publish(3, changes));
    expect(smaller.ok).toBe(false);
  });

  test("[P11] [P14] smaller ops are refused; refused and empty publishes are not recorded", async () => {
    const hub = await stage.hub();
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", OPEN);
    await wire.askOk("changes:publish", publish(5, [{ kind: "session", status: "IDLE" }]));
    expect((await wire.ask("changes:publish", publish(4, [{ kind: "session", status: "ACTIVE" }]))).error.code).toBe(
      "VALIDATION",
    );
    const empty = await wire.askOk("changes:publish", publish(6, [{ kind: "session", status: "IDLE" }]));
    expect(empty).toMatchObject({ seq: 2, results: [{ changed: false, version: 2, seq: 2 }] });
    const real = await wire.askOk("changes:publish", publish(6, [{ kind: "session", status: "ACTIVE" }]));
    expect(real).toMatchObject({ seq: 3 });
    expect(real.duplicate).toBeUndefined();
  });

  test("[P15] one unanswered publish per session: another op is refused, the same op waits for the answer", async () => {
    const hub = await stage.hub();
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", OPEN);
    const first = publish(1, [{ kind: "session", metadata: { n: 1 } }]);
    const [a, b, c] = await Promise.all([
      wire.ask("changes:publish", first),
      wire.ask("changes:publish", publish(2, [{ kind: "session", metadata: { n: 2 } }])),
      wire.ask("changes:publish", first),
    ]);
    expect(a).toMatchObject({ ok: true, seq: 2 });
    expect(b.error.code).toBe("VALIDATION");
    expect(c).toEqual(a);
  });

  test("[P16] [P17] [P18] expected_version matches what the editor saw", async () => {
    const hub = await stage.hub();
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", OPEN);
    await wire.askOk("changes:publish", publish(1, [{ kind: "session", status: "IDLE", expected_version: 1 }]));
    const conflict = await wire.ask(
      "changes:publish",
      publish(2, [{ kind: "session", status: "ACTIVE", expected_version: 1 }]),
    );
    expect(conflict.error).toMatchObject({
      code: "VERSION_CONFLICT",
      details: { expected: 1, current: { version: 2 } },
    });
    const task = { kind: "task", task_id: "t", title: "t" };
    await wire.askOk("changes:publish", publish(2, [{ ...task, expected_version: 0 }]));
    const twice = await wire.ask("changes:publish", publish(3, [{ ...task, expected_version: 0 }]));
    expect(twice.error.code).toBe("VERSION_CONFLICT");
    const missing = await wire.ask(
      "changes:publish",
      publish(3, [{ kind: "task", task_id: "u", title: "u", expected_version: 2 }]),
    );
    expect(missing.error).toMatchObject({ code: "VERSION_CONFLICT", details: { expected: 2 } });
  });

  test("[S1] [S2] a refused transition says what is allowed", async () => {
    const hub = await stage.hub();
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", OPEN);
    await wire.askOk("changes:publish", publish(1, [{ kind: "task", task_id: "t", title: "t" }]));
    const refused = await wire.ask(
      "changes:publish",
      publish(2, [{ kind: "task", task_id: "t", status: "COMPLETED" }]),
    );
    expect(refused.error).toMatchObject({
      code: "INVALID_TRANSITION",
      details: { from: "PENDING", to: "COMPLETED", allowed: ["IN_PROGRESS", "CANCELLED"] },
    });
  });

  test("[P23] [S4] [S5] [C5] the ending publish may still change tasks; afterwards nothing changes", async () => {
    const hub = await stage.hub();
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", OPEN);
    const answer = await wire.askOk(
      "changes:publish",
      publish(1, [
        { kind: "session", status: "FAILED" },
        { kind: "task", task_id: "t", title: "t", status: "CANCELLED" },
      ]),
    );
    expect(answer.results).toHaveLength(2);
    const after = await wire.ask("changes:publish", publish(2, [{ kind: "task", task_id: "t", title: "u" }]));
    expect(after.error).toMatchObject({ code: "INVALID_TRANSITION", details: { from: "FAILED", allowed: [] } });
  });

  test("[P24] tasks of a session are limited", async () => {
    const hub = await stage.hub({ overrides: { limits: { tasks_per_session: 2 } } });
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", OPEN);
    const task = (id: string) => ({ kind: "task", task_id: id, title: id });
    await wire.askOk("changes:publish", publish(1, [task("a"), task("b")]));
    expect((await wire.ask("changes:publish", publish(2, [task("c")]))).error.code).toBe("LIMIT_EXCEEDED");
    await wire.askOk("changes:publish", publish(2, [{ kind: "task", task_id: "a", title: "A" }]));
  });

  test("[M1] [M2] [M6] [M8] metadata is a merge patch within its limits; recovery_attempts is the hub's", async () => {
    const hub = await stage.hub();
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", { ...OPEN, metadata: { keep: 1, drop: 2, deep: { a: 1, b: 2 }, none: null } });
    const seen = await viewer(stage, hub);
    await seen.askOk("project:join", { project_id: "default" });
    await wire.askOk(
      "changes:publish",
      publish(1, [{ kind: "session", metadata: { drop: null, deep: { b: null }, list: [null] } }]),
    );
    const [frame] = await seen.hears("changes");
    expect(frame.changes[0].patch).toEqual({ metadata: { drop: null, deep: { b: null }, list: [null] } });
    const big = { kind: "session", metadata: { blob: "x".repeat(17_000) } };
    expect((await wire.ask("changes:publish", publish(2, [big]))).error.code).toBe("PAYLOAD_TOO_LARGE");
    const counted = { kind: "session", metadata: { recovery_attempts: 3 } };
    expect((await wire.ask("changes:publish", publish(2, [counted]))).error).toMatchObject({
      code: "VALIDATION",
      details: { errors: [{ field: "changes[0].metadata.recovery_attempts" }] },
    });
  });

  test("[D3] [D2] many agents on one project: contiguous numbers, each acked change once", async () => {
    const uri = stage.database().uri;
    const hub = await stage.hub({ uri });
    const acked = new Set<string>();
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const wire = await agent(stage, hub);
        const sessionId = `s${index}`;
        await wire.askOk("session:open", { session_id: sessionId, machine_id: "m" });
        for (let op = 1; op <= 20; op++) {
          await wire.askOk("changes:publish", {
            session_id: sessionId,
            incarnation: 1,
            op,
            changes: [{ kind: "session", metadata: { op } }],
          });
          acked.add(`${sessionId}/${op}`);
        }
      }),
    );
    const database = await openDatabase(stage, uri);
    const changes = (await database.entries("default")).flatMap((entry) => entry.changes);
    expect(changes.map((change) => change.seq)).toEqual(Array.from({ length: 420 }, (_, index) => index + 1));
    const logged = changes.filter((change) => change.op !== undefined).map((change) => `${change.id}/${change.op}`);
    expect(new Set(logged)).toEqual(acked);
    expect(logged).toHaveLength(400);
  });

  test("projected_seq follows the head", async () => {
    const uri = stage.database().uri;
    const hub = await stage.hub({ uri, overrides: { bounds: { raiseProjectedMs: 50 } } });
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", OPEN);
    await wire.askOk("changes:publish", publish(1, [{ kind: "session", status: "IDLE" }]));
    const database = await openDatabase(stage, uri);
    await eventually("projected_seq 2", async () => {
      const project = await database.db.collection<{ _id: string; projected_seq: number }>("projects").findOne({});
      return project?.projected_seq === 2;
    });
  });
});
