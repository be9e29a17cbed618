import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RestOptions, rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, type Json, viewer } from "../support/wire.ts";

const stage = new Stage();
let hub: TestHub;
beforeAll(async () => {
  hub = await stage.hub();
});
afterAll(stage.clear);

const ask = (request: string, options: RestOptions = {}) => rest(hub, request, options);

/** A session of its own for a test. */
async function session(session_id: string, project_id = "default"): Promise<void> {
  const { status } = await ask("POST /sessions", { body: { session_id, machine_id: "m1", project_id } });
  expect(status).toBe(201);
}

async function task(sessionId: string, body: object): Promise<Json> {
  const answer = await ask(`POST /sessions/${sessionId}/tasks`, { body });
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body;
}

describe("POST /sessions/{id}/tasks", () => {
  test("[R28] [R17] a new task is logged, shown and tagged", async () => {
    await session("new");
    const answer = await ask("POST /sessions/new/tasks", {
      body: { task_id: "t:1", title: "One", progress: 0.5, metadata: { a: 1, b: null }, colour: "red" },
    });
    expect(answer.status).toBe(201);
    expect(answer.headers.get("etag")).toBe('"1"');
    expect(answer.headers.get("location")).toBe("/sessions/new/tasks/t%3A1?project_id=default");
    expect(answer.body).toEqual({
      ...{ task_id: "t:1", session_id: "new", project_id: "default", title: "One", status: "PENDING", progress: 0.5 },
      ...{ metadata: { a: 1 }, created_at: expect.any(String), updated_at: answer.body.created_at },
      ...{ version: 1, seq: expect.any(Number) },
    });
    const found = await ask(`GET ${answer.headers.get("location")}`);
    expect(found).toMatchObject({ status: 200, body: answer.body });
    expect(found.headers.get("etag")).toBe('"1"');
    expect((await ask("GET /sessions/new/tasks")).body.items).toEqual([answer.body]);
    const { body: changes } = await ask("GET /sessions/new/changes?kind=task");
    expect(changes.items[0]).toMatchObject({ type: "created", id: "t:1", actor: { kind: "operator" } });
  });

  test("[R28] [R14] [R15] the same POST again is 200, one that differs 409, also after the end", async () => {
    await session("again");
    const body = { task_id: "t", title: "One", metadata: { list: [1], gone: null } };
    const first = await task("again", body);
    expect(await ask("POST /sessions/again/tasks", { body })).toMatchObject({ status: 200, body: first });
    await ask("PATCH /sessions/again/tasks/t", { body: { status: "IN_PROGRESS" } });
    const same = await ask("POST /sessions/again/tasks", { body });
    expect(same).toMatchObject({ status: 200, body: { version: 2, status: "IN_PROGRESS" } });
    const other = await ask("POST /sessions/again/tasks", { body: { ...body, title: "Two" } });
    expect(other).toMatchObject({ status: 409, body: { code: "ALREADY_EXISTS", details: { fields: ["title"] } } });
    await ask("POST /sessions/again/close", { body: { status: "COMPLETED" } });
    expect((await ask("POST /sessions/again/tasks", { body })).status).toBe(200);
    expect(await ask("POST /sessions/again/tasks", { body: { ...body, task_id: "late" } })).toMatchObject({
      status: 409,
      body: { code: "INVALID_TRANSITION", details: { allowed: [] } },
    });
  });

  test("[R28] [R5] what a creation lacks or may not say is VALIDATION at the field", async () => {
    await session("wrong");
    for (const [field, body] of [
      ["task_id", { title: "x" }],
      ["title", { task_id: "t" }],
      ["title", { task_id: "t", title: "" }],
      ["title", { task_id: "t", title: "x".repeat(501) }],
      ["status", { task_id: "t", title: "x", status: "ACTIVE" }],
      ["progress", { task_id: "t", title: "x", progress: 1.5 }],
      ["metadata", { task_id: "t", title: "x", metadata: null }],
      ["task_id", { task_id: "a/b", title: "x" }],
    ] as const) {
      expect(await ask("POST /sessions/wrong/tasks", { body }), JSON.stringify(body)).toMatchObject({
        status: 400,
        body: { code: "VALIDATION", errors: [{ field }] },
      });
    }
    expect((await ask("GET /sessions/wrong/tasks")).body.length).toBe(0);
  });

  test("[R28] [R18] a session that is not there is 404, in several projects AMBIGUOUS", async () => {
    const body = { task_id: "t", title: "x" };
    expect(await ask("POST /sessions/nobody/tasks", { body })).toMatchObject({
      status: 404,
      body: { code: "NOT_FOUND" },
    });
    await session("twice", "p1");
    await session("twice", "p2");
    expect((await ask("POST /sessions/twice/tasks", { body })).body.code).toBe("AMBIGUOUS");
    expect((await ask("POST /sessions/twice/tasks?project_id=p2", { body })).body.project_id).toBe("p2");
    expect((await ask("GET /sessions/twice/tasks/t?project_id=p1")).status).toBe(404);
    expect((await ask("GET /sessions/twice/tasks/t?project_id=p2")).status).toBe(200);
  });
});

describe("GET, PATCH /sessions/{id}/tasks/{task_id}", () => {
  test("[R29] [R17] If-None-Match with the current tag is 304 without a body", async () => {
    await session("tags");
    await task("tags", { task_id: "t", title: "x" });
    const unchanged = await ask("GET /sessions/tags/tasks/t", { headers: { "If-None-Match": '"1"' } });
    expect(unchanged).toMatchObject({ status: 304, body: undefined });
    expect(unchanged.headers.get("etag")).toBe('"1"');
    expect((await ask("GET /sessions/tags/tasks/t", { headers: { "If-None-Match": '"2"' } })).status).toBe(200);
  });

  test("[R29] [M1] [M2] a merge patch changes title, status, progress, metadata", async () => {
    await session("patch");
    await task("patch", { task_id: "t", title: "x", metadata: { a: { b: 1, c: 2 }, d: 3 } });
    const answer = await ask("PATCH /sessions/patch/tasks/t", {
      raw: JSON.stringify({ title: "y", status: "IN_PROGRESS", progress: 0.25, metadata: { a: { b: null }, d: null } }),
      headers: { "Content-Type": "application/merge-patch+json" },
    });
    expect(answer).toMatchObject({
      status: 200,
      body: { title: "y", status: "IN_PROGRESS", progress: 0.25, metadata: { a: { c: 2 } }, version: 2 },
    });
    expect(answer.headers.get("etag")).toBe('"2"');
    const same = await ask("PATCH /sessions/patch/tasks/t", { body: { title: "y", metadata: { a: { c: 2 } } } });
    expect(same.body).toEqual(answer.body);
    const whole = await ask("PATCH /sessions/patch/tasks/t", { body: { ...answer.body, progress: 1 } });
    expect(whole).toMatchObject({ status: 200, body: { progress: 1, version: 3 } });
    expect((await ask("PATCH /sessions/patch/tasks/t", { body: { session_id: "other" } })).status).toBe(400);
    expect((await ask("PATCH /sessions/patch/tasks/t", { body: { task_id: "u" } })).status).toBe(400);
  });

  test("[R29] [R24] [S2] a refused transition tells what is allowed", async () => {
    await session("moves");
    await task("moves", { task_id: "t", title: "x" });
    const refused = await ask("PATCH /sessions/moves/tasks/t", { body: { status: "COMPLETED" } });
    expect(refused).toMatchObject({
      status: 409,
      body: {
        code: "INVALID_TRANSITION",
        details: { from: "PENDING", to: "COMPLETED", allowed: ["IN_PROGRESS", "CANCELLED"] },
      },
    });
    await ask("PATCH /sessions/moves", { body: { status: "FAILED" } });
    const final = await ask("PATCH /sessions/moves/tasks/t", { body: { status: "CANCELLED" } });
    expect(final).toMatchObject({ status: 409, body: { details: { allowed: [] } } });
  });

  test("[R29] [R22] [E7] If-Match guards the edit; of many edits of one version one wins", async () => {
    await session("guard");
    await task("guard", { task_id: "t", title: "x" });
    const patch = (progress: number, match: string) =>
      ask("PATCH /sessions/guard/tasks/t", { body: { progress }, headers: { "If-Match": match } });
    const answers = await Promise.all(Array.from({ length: 8 }, (_, index) => patch((index + 1) / 10, '"1"')));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, ...Array(7).fill(412)]);
    const conflict = await patch(0.95, '"1"');
    expect(conflict.body).toMatchObject({
      code: "VERSION_CONFLICT",
      details: { expected: 1, current: { task_id: "t", version: 2 } },
    });
    expect((await patch(0.95, 'W/"2"')).status).toBe(412);
    expect((await patch(0.95, "2")).status).toBe(400);
    expect((await patch(0.95, "*")).body.version).toBe(3);
    const agreed = { body: { progress: 0.97, expected_version: 3 }, headers: { "If-Match": '"3"' } };
    expect((await ask("PATCH /sessions/guard/tasks/t", agreed)).status).toBe(200);
    expect((await ask("PATCH /sessions/guard/tasks/t", agreed)).status).toBe(412);
  });

  test("[R29] a PATCH makes no task, and says what is missing", async () => {
    await session("none");
    const missing = await ask("PATCH /sessions/none/tasks/t", { body: { title: "x" } });
    expect(missing).toMatchObject({ status: 404, body: { code: "NOT_FOUND", detail: "no task t in session none" } });
    expect((await ask("GET /sessions/none/tasks/t")).status).toBe(404);
    expect((await ask("GET /sessions/none/tasks/a%20b")).status).toBe(400);
  });

  test("[R4] [R1] [L2] the statuses of HTTP itself: 405 with Allow, 415, 413", async () => {
    await session("http");
    for (const [path, allow] of [
      ["/sessions/http/tasks", "GET, HEAD, POST"],
      ["/sessions/http/tasks/t", "GET, HEAD, PATCH"],
    ] as const) {
      const answer = await ask(`DELETE ${path}`);
      expect(answer).toMatchObject({ status: 405, body: { code: "VALIDATION" } });
      expect(answer.headers.get("allow")).toBe(allow);
      expect(answer.headers.get("content-type")).toMatch(/^application\/problem\+json/);
    }
    const merge = { raw: "{}", headers: { "Content-Type": "application/merge-patch+json" } };
    expect((await ask("POST /sessions/http/tasks", merge)).status).toBe(415);
    const large = { body: { task_id: "t", title: "x", metadata: { a: "x".repeat(33_000) } } };
    expect(await ask("POST /sessions/http/tasks", large)).toMatchObject({
      status: 413,
      body: { code: "PAYLOAD_TOO_LARGE" },
    });
  });
});

describe("X-Request-Id", () => {
  test("[R49] [R3] taken or made, it stands in the log's changes and in history, but in no frame", async () => {
    await session("traced");
    const watching = await viewer(stage, hub);
    await watching.askOk("project:join", { project_id: "default" });
    const headers = { "X-Request-Id": "req-1" };
    await ask("POST /sessions/traced/tasks", { body: { task_id: "t", title: "x" }, headers });
    const made = await ask("PATCH /sessions/traced/tasks/t", { body: { title: "y" } });
    const wire = await agent(stage, hub);
    const { incarnation } = await wire.askOk("session:open", { session_id: "traced", machine_id: "m1" });
    const publish = { session_id: "traced", incarnation, op: 1, changes: [{ kind: "session", metadata: { a: 1 } }] };
    await wire.askOk("changes:publish", publish);
    const { items } = (await ask("GET /sessions/traced/changes")).body;
    const [published, , patched, created] = items;
    expect(created.request_id).toBe("req-1");
    expect(patched.request_id).toBe(made.headers.get("x-request-id"));
    expect(published).not.toHaveProperty("request_id");
    expect(JSON.stringify(await watching.hears("changes", 4))).not.toContain("req-1");
  });
});
