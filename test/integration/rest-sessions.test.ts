import { afterEach, describe, expect, test } from "vitest";
import { openDatabase } from "../support/log-check.ts";
import { rest } from "../support/rest.ts";
import { Stage } from "../support/test-hub.ts";
import { agent, viewer } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

const NEW = { session_id: "123", status: "ACTIVE", machine_id: "machine-1" };

describe("creating a session over REST", () => {
  test("[R13] [R17] [R19] [R39] [O21] a new session is unmonitored, logged and shown", async () => {
    const uri = stage.database().uri;
    const hub = await stage.hub({ uri });
    const created = await rest(hub, "POST /sessions", { body: NEW, headers: { "X-Request-Id": "req-1" } });
    expect(created.status).toBe(201);
    expect(created.headers.get("location")).toBe("/sessions/123?project_id=default");
    expect(created.headers.get("etag")).toBe('"1"');
    expect(created.body).toEqual({
      session_id: "123",
      project_id: "default",
      status: "ACTIVE",
      liveness: "unmonitored",
      machine_id: "machine-1",
      environment: "production",
      metadata: {},
      incarnation: 0,
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      updated_at: created.body.created_at,
      version: 1,
      seq: 1,
      display: { state: "unmonitored", reason: expect.any(String), since: created.body.created_at },
    });
    const shown = await rest(hub, `GET ${created.headers.get("location")}`);
    expect(shown).toMatchObject({ status: 200, body: created.body });
    expect(shown.headers.get("etag")).toBe('"1"');
    const database = await openDatabase(stage, uri);
    const [entry] = await database.entries("default");
    expect(entry?.changes).toMatchObject([{ type: "created", actor: { kind: "operator" }, request_id: "req-1" }]);
  });

  test("[R14] [R16] [M3] the same POST again is 200 and changes nothing", async () => {
    const hub = await stage.hub();
    const body = { ...NEW, metadata: { a: 1, dropped: null, list: [null] } };
    expect((await rest(hub, "POST /sessions", { body })).status).toBe(201);
    const again = await rest(hub, "POST /sessions", { body });
    expect(again).toMatchObject({ status: 200, body: { version: 1, metadata: { a: 1, list: [null] } } });
    expect((await rest(hub, "POST /sessions", { body: { session_id: "123", machine_id: "machine-1" } })).status).toBe(
      200,
    );
  });

  test("[R15] a POST that differs is 409 ALREADY_EXISTS", async () => {
    const hub = await stage.hub();
    await rest(hub, "POST /sessions", { body: NEW });
    const other = await rest(hub, "POST /sessions", { body: { ...NEW, machine_id: "machine-2" } });
    expect(other).toMatchObject({ status: 409, body: { code: "ALREADY_EXISTS", details: { fields: ["machine_id"] } } });
  });

  test("[R13] [O4] [M8] what a creation may not say is VALIDATION", async () => {
    const hub = await stage.hub();
    for (const body of [
      { ...NEW, status: "COMPLETED" },
      { ...NEW, metadata: { recovery_attempts: 3 } },
      { ...NEW, metadata: [] },
      { ...NEW, metadata: null },
      { ...NEW, environment: "" },
      { ...NEW, environment: null },
    ]) {
      expect(await rest(hub, "POST /sessions", { body }), JSON.stringify(body)).toMatchObject({
        status: 400,
        body: { code: "VALIDATION" },
      });
    }
    expect((await rest(hub, "GET /sessions")).body.length).toBe(0);
  });

  test("[R2] [E5] without session_id the problem says so, as documented", async () => {
    const hub = await stage.hub();
    const refused = await rest(hub, "POST /sessions", { body: { status: "ACTIVE", machine_id: "machine-1" } });
    expect(refused.status).toBe(400);
    expect(refused.headers.get("content-type")).toMatch(/^application\/problem\+json/);
    expect(refused.body).toMatchObject({
      status: 400,
      code: "VALIDATION",
      detail: "ValidationError: field session_id is required",
      errors: [{ field: "session_id", message: "is required" }],
      request_id: refused.headers.get("x-request-id"),
    });
  });

  test("[G8] unknown fields are neither refused nor stored", async () => {
    const hub = await stage.hub();
    const created = await rest(hub, "POST /sessions", { body: { ...NEW, colour: "red", liveness: "online" } });
    expect(created).toMatchObject({ status: 201, body: { liveness: "unmonitored" } });
    expect(created.body).not.toHaveProperty("colour");
  });

  test("[D1] an acked POST is seen by the next GET, a hundred times over", async () => {
    const hub = await stage.hub();
    const seen = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        await rest(hub, "POST /sessions", { body: { ...NEW, session_id: `s${index}` } });
        return (await rest(hub, `GET /sessions/s${index}`)).status;
      }),
    );
    expect(new Set(seen)).toEqual(new Set([200]));
  });
});

describe("reading a session", () => {
  test("[R17] If-None-Match with the current tag is 304 without a body", async () => {
    const hub = await stage.hub();
    await rest(hub, "POST /sessions", { body: NEW });
    for (const tag of ['"1"', 'W/"1"', '"7", "1"', "*"]) {
      const unchanged = await rest(hub, "GET /sessions/123", { headers: { "If-None-Match": tag } });
      expect(unchanged, tag).toMatchObject({ status: 304, body: undefined });
      expect(unchanged.headers.get("etag")).toBe('"1"');
    }
    const changed = await rest(hub, "GET /sessions/123", { headers: { "If-None-Match": '"2"' } });
    expect(changed.status).toBe(200);
  });

  test("[R18] [G3] a bare id in several projects is AMBIGUOUS, in one it is found, in none 404", async () => {
    const hub = await stage.hub();
    for (const project_id of ["p2", "p1"]) await rest(hub, "POST /sessions", { body: { ...NEW, project_id } });
    await rest(hub, "POST /sessions", { body: { ...NEW, session_id: "alone", project_id: "p1" } });
    const requests = ["GET /sessions/123", "GET /sessions/123/changes", "GET /sessions/123/tasks"];
    for (const request of requests) {
      expect(await rest(hub, request)).toMatchObject({
        status: 409,
        body: { code: "AMBIGUOUS", details: { project_ids: ["p1", "p2"] } },
      });
      expect((await rest(hub, `${request}?project_id=p2`)).status).toBe(200);
    }
    expect(await rest(hub, "PATCH /sessions/123", { body: { status: "IDLE" } })).toMatchObject({ status: 409 });
    expect(await rest(hub, "GET /sessions/123?project_id=p2")).toMatchObject({ body: { project_id: "p2" } });
    expect(await rest(hub, "GET /sessions/alone")).toMatchObject({ status: 200, body: { project_id: "p1" } });
    for (const request of ["GET /sessions/none", "GET /sessions/123?project_id=p3", "GET /sessions/none/changes"]) {
      expect(await rest(hub, request)).toMatchObject({ status: 404, body: { code: "NOT_FOUND" } });
    }
  });

  test("[R19] [R20] [B8] heartbeats show at once; nothing hidden ever shows", async () => {
    const hub = await stage.hub();
    const wire = await agent(stage, hub, "a1");
    const { incarnation } = await wire.askOk("session:open", { session_id: "s1", machine_id: "m1" });
    await wire.askOk("heartbeat", {
      sessions: [{ session_id: "s1", incarnation, progress: 0.5, activity: "linking", metrics: { cpu: 0.7 } }],
    });
    const { body } = await rest(hub, "GET /sessions/s1");
    expect(body).toMatchObject({
      heartbeat: { progress: 0.5, activity: "linking", metrics: { cpu: 0.7 } },
      last_heartbeat_at: expect.stringMatching(/Z$/),
      display: { state: "working" },
    });
    expect(Object.keys(body).sort()).toEqual(
      [
        ...["agent_id", "created_at", "display", "environment", "heartbeat", "hub_id", "incarnation"],
        ...[
          "last_activity_at",
          "last_heartbeat_at",
          "liveness",
          "machine_id",
          "metadata",
          "project_id",
          "seq",
          "session_id",
        ],
        ...["status", "updated_at", "version"],
      ].sort(),
    );
    expect((await rest(hub, "GET /sessions")).body.items).toEqual([body]);
  });

  test("[R19] [B8] a heartbeat outlives the hub that heard it", async () => {
    const uri = stage.database().uri;
    const hub = await stage.hub({ uri });
    const wire = await agent(stage, hub, "a1");
    const { incarnation } = await wire.askOk("session:open", { session_id: "s1", machine_id: "m1" });
    await wire.askOk("heartbeat", { sessions: [{ session_id: "s1", incarnation, activity: "linking" }] });
    await hub.stop();
    const next = await stage.hub({ uri });
    expect((await rest(next, "GET /sessions/s1")).body).toMatchObject({ heartbeat: { activity: "linking" } });
  });
});

describe("editing a session over REST", () => {
  test("[R21] [M1] [M2] [S7] [S9] status, metadata and waiting_for change like in a publish", async () => {
    const hub = await stage.hub();
    await rest(hub, "POST /sessions", { body: { ...NEW, metadata: { a: 1, b: { c: 2 } } } });
    const waiting = await rest(hub, "PATCH /sessions/123", {
      body: {
        status: "WAITING",
        waiting_for: { kind: "permission", question: "Deploy?", options: ["yes", "no"] },
        metadata: { a: null, b: { d: 3 } },
      },
    });
    expect(waiting).toMatchObject({
      status: 200,
      body: {
        status: "WAITING",
        version: 2,
        metadata: { b: { c: 2, d: 3 } },
        waiting_for: {
          kind: "permission",
          question: "Deploy?",
          options: ["yes", "no"],
          since: waiting.body.updated_at,
        },
        display: { state: "needs you", reason: "Deploy?" },
      },
    });
    expect(waiting.body.metadata).toEqual({ b: { c: 2, d: 3 } });
    expect(waiting.headers.get("etag")).toBe('"2"');
    const active = await rest(hub, "PATCH /sessions/123", {
      raw: JSON.stringify({ status: "ACTIVE" }),
      headers: { "Content-Type": "application/merge-patch+json; charset=UTF-8" },
    });
    expect(active).toMatchObject({ status: 200, body: { status: "ACTIVE", version: 3 } });
    expect(active.body).not.toHaveProperty("waiting_for");
    expect((await rest(hub, "GET /sessions/123")).body).toEqual(active.body);
  });

  test("[R23] [D7] a PATCH that changes nothing keeps the version", async () => {
    const hub = await stage.hub();
    const { body } = await rest(hub, "POST /sessions", { body: { ...NEW, metadata: { a: 1 } } });
    for (const patch of [{}, { status: "ACTIVE" }, { metadata: { a: 1 } }, { metadata: { gone: null } }, body]) {
      expect(await rest(hub, "PATCH /sessions/123", { body: patch })).toMatchObject({ status: 200, body });
    }
  });

  test("[R24] [E6] [S4] [R25] a final session accepts nothing, and says what is allowed", async () => {
    const hub = await stage.hub();
    await rest(hub, "POST /sessions", { body: NEW });
    const ended = await rest(hub, "PATCH /sessions/123", { body: { status: "COMPLETED" } });
    expect(ended.body).toMatchObject({ status: "COMPLETED", liveness: "ended", display: { state: "finished" } });
    expect(await rest(hub, "PATCH /sessions/123", { body: { status: "ACTIVE" } })).toMatchObject({
      status: 409,
      body: { code: "INVALID_TRANSITION", details: { from: "COMPLETED", to: "ACTIVE", allowed: [] } },
    });
  });

  test("[R25] [N4] [N5] an agent hears that somebody ended its session", async () => {
    const hub = await stage.hub();
    const wire = await agent(stage, hub, "a1");
    const { incarnation } = await wire.askOk("session:open", { session_id: "s1", machine_id: "m1" });
    await rest(hub, "PATCH /sessions/s1", { body: { metadata: { priority: "high" } } });
    await rest(hub, "POST /sessions/s1/close", { body: { status: "CANCELLED", metadata: { why: "enough" } } });
    const [fenced] = await wire.hears("fenced");
    expect(fenced).toEqual({ session_id: "s1", incarnation, reason: "ended" });
    expect(wire.messages("session")).toMatchObject([
      { version: 2, patch: { metadata: { priority: "high" } }, actor: { kind: "operator" } },
      { version: 3, patch: { status: "CANCELLED", liveness: "ended", metadata: { why: "enough" } } },
    ]);
  });

  test("[R31] close takes final statuses only", async () => {
    const hub = await stage.hub();
    await rest(hub, "POST /sessions", { body: NEW });
    expect(await rest(hub, "POST /sessions/123/close", { body: { status: "IDLE" } })).toMatchObject({
      status: 400,
      body: { code: "VALIDATION", errors: [{ field: "status" }] },
    });
    expect(await rest(hub, "POST /sessions/123/close", { body: { status: "FAILED" } })).toMatchObject({
      status: 200,
      body: { status: "FAILED" },
    });
  });

  test("[R22] [E7] [P16] If-Match guards a PATCH", async () => {
    const hub = await stage.hub();
    await rest(hub, "POST /sessions", { body: NEW });
    const patch = (ifMatch: string, body: object = { metadata: { n: Math.random() } }) =>
      rest(hub, "PATCH /sessions/123", { body, headers: { "If-Match": ifMatch } });
    expect((await patch('"1"')).body.version).toBe(2);
    const stale = await patch('"1"');
    expect(stale).toMatchObject({
      status: 412,
      body: { code: "VERSION_CONFLICT", details: { expected: 1, current: { session_id: "123", version: 2 } } },
    });
    expect(stale.body.details.current).not.toHaveProperty("edit_version");
    expect((await patch("*")).body.version).toBe(3);
    expect((await patch('"1", "3"')).body.version).toBe(4);
    // Strong comparison: a weak tag and a foreign one match nothing.
    expect(await patch('W/"4"')).toMatchObject({ status: 412, body: { details: { current: { version: 4 } } } });
    expect((await patch('"abc"')).status).toBe(412);
    expect(await patch("4")).toMatchObject({ status: 400, body: { code: "VALIDATION" } });
    expect((await rest(hub, "GET /sessions/123")).body.version).toBe(4);
  });

  test("[R22] [P16] [P17] expected_version in the body means the same as If-Match", async () => {
    const hub = await stage.hub();
    await rest(hub, "POST /sessions", { body: NEW });
    const patch = (expected_version: number, headers = {}) =>
      rest(hub, "PATCH /sessions/123", { body: { expected_version, metadata: { n: Math.random() } }, headers });
    expect((await patch(1)).status).toBe(200);
    expect(await patch(1)).toMatchObject({ status: 412, body: { code: "VERSION_CONFLICT" } });
    expect((await patch(0)).status).toBe(412);
    expect((await patch(2, { "If-Match": '"2"' })).status).toBe(200);
    expect((await patch(3, { "If-Match": '"2"' })).status).toBe(400);
  });

  test("[R22] of many edits of one version exactly one wins", async () => {
    const hub = await stage.hub();
    await rest(hub, "POST /sessions", { body: NEW });
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        rest(hub, "PATCH /sessions/123", { body: { metadata: { index } }, headers: { "If-Match": '"1"' } }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(19).fill(412)]);
  });

  test("[R21] a field that PATCH cannot change may be sent back, but not changed", async () => {
    const hub = await stage.hub();
    const { body: whole } = await rest(hub, "POST /sessions", { body: NEW });
    expect(await rest(hub, "PATCH /sessions/123", { body: { ...whole, status: "IDLE" } })).toMatchObject({
      status: 200,
      body: { status: "IDLE", version: 2 },
    });
    for (const [field, value] of Object.entries({
      session_id: "124",
      project_id: "other",
      machine_id: "machine-2",
      environment: "test",
      liveness: "online",
      incarnation: 9,
      version: 1,
      agent_id: null,
    })) {
      expect(await rest(hub, "PATCH /sessions/123", { body: { [field]: value } }), field).toMatchObject({
        status: 400,
        body: { code: "VALIDATION", errors: [{ field }] },
      });
    }
    // Whoever names the version it means gets the conflict, not a complaint about the old fields.
    const stale = await rest(hub, "PATCH /sessions/123", {
      body: { ...whole, status: "PAUSED" },
      headers: { "If-Match": '"1"' },
    });
    expect(stale).toMatchObject({ status: 412, body: { code: "VERSION_CONFLICT" } });
  });

  test("[R39] [F19] a viewer sees what REST does", async () => {
    const hub = await stage.hub();
    const wire = await viewer(stage, hub);
    await wire.askOk("project:join", { project_id: "default" });
    await rest(hub, "POST /sessions", { body: NEW });
    await rest(hub, "PATCH /sessions/123", { body: { status: "IDLE" } });
    const [created, edited] = await wire.hears("changes", 2);
    expect(created.changes).toMatchObject([{ type: "created", state: { session_id: "123" } }]);
    expect(edited.changes).toMatchObject([{ type: "updated", patch: { status: "IDLE" }, actor: { kind: "operator" } }]);
  });
});
