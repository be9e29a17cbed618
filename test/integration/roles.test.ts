import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type RestOptions, rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, type Json, viewer } from "../support/wire.ts";

const stage = new Stage();
const hubStage = new Stage();
let hub: TestHub;

beforeAll(async () => {
  hub = await hubStage.hub();
  await tenants();
});
afterEach(stage.clear);
afterAll(hubStage.clear);

type Role = "viewer" | "agent" | "operator";

/** A key of the hub with this role and these projects. */
async function keyOf(role: Role, ...projects: string[]): Promise<{ url: string; key: string; id: string }> {
  const made = await rest(hub, "POST /admin/keys", { body: { role, projects } });
  expect(made.status).toBe(201);
  return { url: hub.url, key: made.body.key, id: made.body.id };
}

/** Two tenants, each with a session of the same id; `other` has one that nobody else has. */
async function tenants(): Promise<void> {
  for (const [project_id, session_id] of [
    ["acme-1", "shared"],
    ["acme-2", "own"],
    ["other", "shared"],
    ["other", "hidden"],
  ]) {
    const body = { project_id, session_id, machine_id: "m" };
    expect((await rest(hub, "POST /sessions", { body })).status).toBe(201);
  }
}

const FORBIDDEN = { code: "FORBIDDEN", detail: "Not Authorized" };
const REFUSED = { ok: false, error: { code: "FORBIDDEN", message: "Not Authorized", retryable: false } };

/** All of an answer that could tell one case from another. */
const shape = (answer: Json) => ({ ...answer, body: { ...answer.body, request_id: "" }, headers: undefined });

describe("the matrix of roles", () => {
  test("[K7] a viewer reads and joins, and changes nothing", async () => {
    const key = await keyOf("viewer", "acme-1");
    expect((await rest(key, "GET /sessions/shared?project_id=acme-1")).status).toBe(200);
    expect(await (await viewer(stage, key)).ask("project:join", { project_id: "acme-1" })).toMatchObject({ ok: true });
    const body = { session_id: "new", machine_id: "m", project_id: "acme-1" };
    for (const request of [
      "POST /sessions",
      "PATCH /sessions/shared?project_id=acme-1",
      "POST /sessions/shared/close?project_id=acme-1",
      "POST /sessions/shared/expire?project_id=acme-1",
    ]) {
      expect(await rest(key, request, { body })).toMatchObject({ status: 403, body: FORBIDDEN });
    }
    await expect(agent(stage, key)).rejects.toMatchObject({ data: { code: "FORBIDDEN", message: "Not Authorized" } });
  });

  test("[K7] an agent reads, joins and changes, and does not operate", async () => {
    const key = await keyOf("agent", "acme-*", "work-*");
    const reporting = await agent(stage, key, "builder");
    const opened = await reporting.askOk("session:open", { session_id: "s", machine_id: "m", project_id: "work-9" });
    expect(opened.session.project_id).toBe("work-9");
    expect(await (await viewer(stage, key)).ask("project:join", { project_id: "work-9" })).toMatchObject({ ok: true });
    const body = { session_id: "new", machine_id: "m", project_id: "work-1" };
    expect((await rest(key, "POST /sessions", { body })).status).toBe(201);
    const patched = await rest(key, "PATCH /sessions/new", { body: { status: "IDLE" } });
    expect(patched).toMatchObject({ status: 200, body: { status: "IDLE" } });
    expect((await rest(key, "POST /sessions/new/close", { body: { status: "COMPLETED" } })).status).toBe(200);
    expect(await rest(key, "POST /sessions/own/expire")).toMatchObject({ status: 403, body: FORBIDDEN });
  });

  test.each<[Role]>([["viewer"], ["agent"]])("[K7] [R38] /admin/keys is nothing for %s keys", async (role) => {
    const key = await keyOf(role, "*");
    for (const request of [
      "GET /admin/keys",
      "POST /admin/keys",
      `DELETE /admin/keys/${key.id}`,
      "POST /admin/keys/x/rotate",
    ]) {
      expect(await rest(key, request)).toMatchObject({ status: 403, body: FORBIDDEN });
    }
    expect((await rest(key, "GET /health/ready")).body).toEqual({ status: "ok" });
  });

  test("[K7] welcome tells the role", async () => {
    for (const role of ["viewer", "agent", "operator"] as const) {
      const wire = await viewer(stage, await keyOf(role, "*"));
      expect(wire.messages("welcome")[0].role).toBe(role);
    }
  });
});

describe("tenants", () => {
  test("[K8] a project beyond the key answers the same whether it exists or not, over REST", async () => {
    const key = await keyOf("agent", "acme-*");
    const ask = async (request: string, options?: RestOptions) => shape(await rest(key, request, options));
    const requests: [string, Json?][] = [
      ["GET /projects/PROJECT/snapshot"],
      ["GET /sessions?project_id=PROJECT"],
      ["GET /tasks?project_id=PROJECT"],
      ["GET /sessions/shared?project_id=PROJECT"],
      ["GET /sessions/shared/changes?project_id=PROJECT"],
      ["GET /sessions/shared/tasks?project_id=PROJECT"],
      ["PATCH /sessions/shared?project_id=PROJECT", { status: "IDLE" }],
      ["POST /sessions/shared/close?project_id=PROJECT", { status: "FAILED" }],
      ["POST /sessions", { session_id: "shared", machine_id: "m", project_id: "PROJECT" }],
    ];
    for (const [request, body] of requests) {
      const at = (project: string) =>
        ask(request.replace("PROJECT", project), {
          body: body === undefined ? undefined : JSON.parse(JSON.stringify(body).replace("PROJECT", project)),
        });
      const [there, nowhere] = [await at("other"), await at("nowhere")];
      expect(there, request).toMatchObject({ status: 403, body: FORBIDDEN });
      expect(there, request).toEqual(nowhere);
    }
  });

  test("[K8] and over sockets, where the connection is kept", async () => {
    const key = await keyOf("agent", "acme-*");
    const [reporting, reading] = [await agent(stage, key), await viewer(stage, key)];
    for (const project_id of ["other", "nowhere"]) {
      const open = await reporting.ask("session:open", { session_id: "shared", machine_id: "m", project_id });
      expect(open).toMatchObject(REFUSED);
      for (const [event, more] of [
        ["project:join", {}],
        ["project:join", { since: { epoch: "", seq: 0 } }],
        ["project:snapshot", { cursor: "x" }],
        ["project:leave", {}],
      ] as const) {
        expect(await reading.ask(event, { project_id, ...more })).toMatchObject(REFUSED);
      }
    }
    expect(await reading.ask("project:join", { project_id: "acme-1" })).toMatchObject({ ok: true, sessions: [{}] });
  });

  test("[K8] [R12] lists show what the key may read, page by page", async () => {
    const key = await keyOf("viewer", "acme-*");
    const first = await rest(key, "GET /sessions?limit=1");
    expect(first.body).toMatchObject({ items: [{ project_id: "acme-2" }], next_cursor: expect.any(String) });
    const second = await rest(key, `GET /sessions?limit=1&cursor=${first.body.next_cursor}`);
    expect(second.body.items).toMatchObject([{ project_id: "acme-1" }]);
    expect(second.body.next_cursor).toBeUndefined();
    expect((await rest(key, "GET /tasks")).body.items).toEqual([]);
    const nobody = await keyOf("viewer", "nobody");
    expect((await rest(nobody, "GET /sessions")).body.items).toEqual([]);
  });

  test("[K8] [R18] a bare id of others is as unknown as one that is nowhere, and makes nothing ambiguous", async () => {
    const key = await keyOf("agent", "acme-*");
    expect((await rest(key, "GET /sessions/shared")).body).toMatchObject({ project_id: "acme-1" });
    expect((await rest(hub, "GET /sessions/shared")).status).toBe(409);
    for (const below of ["", "/changes", "/tasks"]) {
      const [hidden, nowhere] = [
        await rest(key, `GET /sessions/hidden${below}`),
        await rest(key, `GET /sessions/absent${below}`),
      ];
      expect(hidden.status).toBe(404);
      expect(JSON.stringify(shape(hidden)).replaceAll("hidden", "absent")).toBe(JSON.stringify(shape(nowhere)));
    }
  });

  test("[K8] [P22] a publish looks for its session among the projects of its key alone", async () => {
    const publish = { session_id: "mine", incarnation: 1, op: 1, changes: [{ kind: "session", status: "IDLE" }] };
    const owner = await agent(stage, await keyOf("agent", "other"), "a");
    await owner.askOk("session:open", { session_id: "mine", machine_id: "m", project_id: "other" });
    await owner.askOk("changes:publish", publish);
    const stranger = await agent(stage, await keyOf("agent", "acme-*"), "a");
    const [hidden, absent] = [
      await stranger.ask("changes:publish", publish),
      await stranger.ask("changes:publish", { ...publish, session_id: "none" }),
    ];
    expect(hidden.error.code).toBe("NOT_FOUND");
    expect(hidden.error.message.replace("mine", "none")).toBe(absent.error.message);
    const again = await agent(stage, await keyOf("agent", "other"), "a");
    expect(await again.ask("changes:publish", publish)).toMatchObject({ ok: true, duplicate: true });
  });

  test("[K8] an id that another tenant uses is free, and frames stay where they belong", async () => {
    const key = await keyOf("agent", "room-1");
    const reading = await viewer(stage, await keyOf("viewer", "room-1"));
    await reading.askOk("project:join", { project_id: "room-1", heartbeats: true });
    const foreign = await agent(stage, await keyOf("agent", "other"));
    await foreign.askOk("session:open", { session_id: "canary-of-other", machine_id: "m", project_id: "other" });
    const own = await agent(stage, key);
    const opened = await own.askOk("session:open", { session_id: "hidden", machine_id: "m", project_id: "room-1" });
    expect(opened.created).toBe(true);
    await reading.hears("changes");
    expect(JSON.stringify(reading.heard)).not.toContain("canary-of-other");
  });
});
