import { afterEach, describe, expect, test } from "vitest";
import { rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, type Json } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

async function create(hub: TestHub, session_id: string, more: object = {}): Promise<Json> {
  const answer = await rest(hub, "POST /sessions", { body: { session_id, machine_id: "m1", ...more } });
  expect(answer.status).toBe(201);
  return answer.body;
}

async function ids(hub: TestHub, search: string): Promise<string[]> {
  const { status, body } = await rest(hub, `GET /sessions${search}`);
  expect(status, JSON.stringify(body)).toBe(200);
  expect(body.length).toBe(body.items.length);
  return body.items.map((session: Json) => session.session_id);
}

/** All pages of a list. */
async function pages(hub: TestHub, path: string, limit: number): Promise<Json[][]> {
  const result: Json[][] = [];
  for (let cursor = ""; ; ) {
    const { body } = await rest(hub, `GET ${path}limit=${limit}${cursor}`);
    result.push(body.items);
    if (body.next_cursor === undefined) return result;
    cursor = `&cursor=${body.next_cursor}`;
  }
}

describe("GET /sessions", () => {
  test("[R8] [R9] [R12] filters hold together, over all projects unless one is named", async () => {
    const hub = await stage.hub();
    await create(hub, "a", { project_id: "p1" });
    await create(hub, "b", { project_id: "p2", machine_id: "m2" });
    await create(hub, "c", { project_id: "p1", status: "IDLE", environment: "test" });
    const wire = await agent(stage, hub);
    await wire.askOk("session:open", { session_id: "d", machine_id: "m2", project_id: "p1" });
    expect(await ids(hub, "")).toEqual(["d", "c", "b", "a"]);
    expect(await ids(hub, "?project_id=p1")).toEqual(["d", "c", "a"]);
    expect(await ids(hub, "?status=IDLE")).toEqual(["c"]);
    expect(await ids(hub, "?status=ACTIVE&machine_id=m2")).toEqual(["d", "b"]);
    expect(await ids(hub, "?liveness=online")).toEqual(["d"]);
    expect(await ids(hub, "?environment=test&project_id=p1")).toEqual(["c"]);
    expect(await ids(hub, "?environment=test&project_id=p2")).toEqual([]);
    expect(await ids(hub, "?min_recovery_attempts=1")).toEqual([]);
    expect(await ids(hub, "?min_recovery_attempts=0&status=IDLE")).toEqual(["c"]);
    expect(await ids(hub, "?colour=red")).toHaveLength(4);
  });

  test("[R8] times bound created_at and updated_at", async () => {
    const hub = await stage.hub();
    const first = await create(hub, "a");
    await new Promise((resolve) => setTimeout(resolve, 5));
    const second = await create(hub, "b");
    expect(await ids(hub, `?created_from=${second.created_at}`)).toEqual(["b"]);
    expect(await ids(hub, `?created_to=${second.created_at}`)).toEqual(["a"]);
    expect(await ids(hub, `?created_from=${first.created_at}&created_to=${second.created_at}`)).toEqual(["a"]);
    await new Promise((resolve) => setTimeout(resolve, 5));
    const { body } = await rest(hub, "PATCH /sessions/a", { body: { status: "IDLE" } });
    expect(await ids(hub, `?updated_from=${body.updated_at}`)).toEqual(["a"]);
  });

  test("[R10] [R11] paging meets each session once, also those created in the same millisecond", async () => {
    const hub = await stage.hub();
    await Promise.all(
      Array.from({ length: 23 }, (_, index) => create(hub, `s${index}`, { project_id: `p${index % 3}` })),
    );
    const all = await pages(hub, "/sessions?", 5);
    expect(all.map((page) => page.length)).toEqual([5, 5, 5, 5, 3]);
    const flat = all.flat();
    expect(new Set(flat.map((session) => session.session_id)).size).toBe(23);
    const times = flat.map((session) => session.created_at);
    expect(times).toEqual(times.toSorted().reverse());
    const some = await pages(hub, "/sessions?project_id=p1&", 3);
    expect(some.flat().map((session) => session.project_id)).toEqual(Array(8).fill("p1"));
    expect((await pages(hub, "/sessions?", 23)).map((page) => page.length)).toEqual([23]);
  });

  test("[R11] sessions that come meanwhile do not disturb paging", async () => {
    const hub = await stage.hub();
    for (let index = 0; index < 6; index++) await create(hub, `old${index}`);
    const { body: first } = await rest(hub, "GET /sessions?limit=3");
    for (let index = 0; index < 3; index++) await create(hub, `new${index}`);
    const { body: second } = await rest(hub, `GET /sessions?limit=500&cursor=${first.next_cursor}`);
    const seen = [...first.items, ...second.items].map((session: Json) => session.session_id);
    expect(seen).toEqual(["old5", "old4", "old3", "old2", "old1", "old0"]);
    expect(second).not.toHaveProperty("next_cursor");
  });

  test("[R11] [R52] paging by creation meets each once while they change; by their change, the newest first", async () => {
    const hub = await stage.hub();
    const names = ["a", "b", "c", "d", "e"];
    for (const name of names) {
      await create(hub, name);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const seen: string[] = [];
    for (let cursor = "", step = 0; ; step++) {
      const { body } = await rest(hub, `GET /sessions?limit=1${cursor}`);
      seen.push(...body.items.map(({ session_id }: Json) => session_id));
      await rest(hub, `PATCH /sessions/${names[(step * 3) % 5]}`, { body: { metadata: { step } } });
      await create(hub, `later${step}`);
      if (body.next_cursor === undefined) break;
      cursor = `&cursor=${body.next_cursor}`;
    }
    expect(seen).toEqual(names.toReversed());
    const byChange = "/sessions?updated_from=2020-01-01T00:00:00Z&";
    const all = (await pages(hub, byChange, 3)).flat();
    expect(all).toHaveLength(10);
    const times = all.map(({ updated_at }) => updated_at);
    expect(times).toEqual(times.toSorted().reverse());
    const { next_cursor } = (await rest(hub, `GET ${byChange}limit=1`)).body;
    expect((await rest(hub, `GET /sessions?min_recovery_attempts=1&cursor=${next_cursor}`)).status).toBe(400);
  });

  test("[R11] a cursor of other filters, or none at all, is VALIDATION", async () => {
    const hub = await stage.hub();
    for (let index = 0; index < 3; index++) await create(hub, `s${index}`);
    const { next_cursor } = (await rest(hub, "GET /sessions?limit=1")).body;
    const forged = Buffer.from('["x","2026-11-22T06:00:00.000Z","a/b"]').toString("base64url");
    for (const search of [`?status=ACTIVE&cursor=${next_cursor}`, "?cursor=abc", `?cursor=${forged}`, "?cursor="]) {
      expect(await rest(hub, `GET /sessions${search}`), search).toMatchObject({
        status: 400,
        body: { code: "VALIDATION", errors: [{ field: "cursor" }] },
      });
    }
    expect((await rest(hub, `GET /tasks?cursor=${next_cursor}`)).status).toBe(400);
    expect((await rest(hub, `GET /sessions?limit=2&cursor=${next_cursor}`)).body.length).toBe(2);
  });

  test("[R5] [R10] a value outside its type is VALIDATION that names the parameter", async () => {
    const hub = await stage.hub();
    for (const [field, value] of [
      ["limit", "0"],
      ["limit", "501"],
      ["limit", "ten"],
      ["status", "RUNNING"],
      ["status", ""],
      ["liveness", "dead"],
      ["project_id", "a/b"],
      ["machine_id", "a b"],
      ["created_from", "yesterday"],
      ["updated_from", "2026-13-01T00:00:00Z"],
      ["min_recovery_attempts", "-1"],
    ]) {
      expect(await rest(hub, `GET /sessions?${field}=${encodeURIComponent(value ?? "")}`), field).toMatchObject({
        status: 400,
        body: { code: "VALIDATION", errors: [{ field }] },
      });
    }
  });
});

describe("tasks and history", () => {
  async function publishTasks(hub: TestHub, session_id: string, project_id: string, count: number): Promise<void> {
    const wire = await agent(stage, hub);
    const { incarnation } = await wire.askOk("session:open", { session_id, machine_id: "m1", project_id });
    for (let op = 1; op <= count; op++) {
      await wire.askOk("changes:publish", {
        session_id,
        incarnation,
        op,
        changes: [
          { kind: "task", task_id: `t${op}`, title: `Task ${op}`, status: "IN_PROGRESS" },
          { kind: "session", metadata: { op } },
        ],
      });
    }
  }

  test("[R27] [R18] tasks are listed by session, project and status", async () => {
    const hub = await stage.hub();
    await publishTasks(hub, "s1", "p1", 3);
    await publishTasks(hub, "s1", "p2", 2);
    await publishTasks(hub, "s2", "p1", 1);
    const count = async (path: string) => (await rest(hub, `GET ${path}`)).body.length;
    expect(await count("/tasks")).toBe(6);
    expect(await count("/tasks?project_id=p1")).toBe(4);
    expect(await count("/tasks?session_id=s1")).toBe(5);
    expect(await count("/tasks?session_id=s1&project_id=p1")).toBe(3);
    expect(await count("/tasks?status=PENDING")).toBe(0);
    expect(await count("/sessions/s2/tasks")).toBe(1);
    expect(await count("/sessions/s1/tasks?project_id=p2")).toBe(2);
    expect((await pages(hub, "/sessions/s1/tasks?project_id=p1&", 2)).map((page) => page.length)).toEqual([2, 1]);
    const { items } = (await rest(hub, "GET /sessions/s2/tasks")).body;
    expect(items).toEqual([
      {
        task_id: "t1",
        session_id: "s2",
        project_id: "p1",
        title: "Task 1",
        status: "IN_PROGRESS",
        metadata: {},
        created_at: expect.any(String),
        updated_at: expect.any(String),
        version: 1,
        seq: expect.any(Number),
      },
    ]);
  });

  test("[R26] [F3] history runs from new to old, with the tasks' changes, paged inside entries too", async () => {
    const hub = await stage.hub();
    await publishTasks(hub, "s1", "default", 4);
    await publishTasks(hub, "other", "default", 2);
    const { body } = await rest(hub, "GET /sessions/s1/changes?limit=500");
    expect(body.items.map((change: Json) => change.seq)).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1]);
    expect(body.items.map((change: Json) => change.session_id)).toEqual(Array(9).fill("s1"));
    expect(body).not.toHaveProperty("next_cursor");
    expect(body.items.at(-1)).toMatchObject({
      kind: "session",
      type: "created",
      version: 1,
      state: { session_id: "s1" },
    });
    expect(body.items[0]).toEqual({
      seq: 9,
      at: expect.any(String),
      kind: "session",
      id: "s1",
      session_id: "s1",
      version: 5,
      type: "updated",
      actor: expect.objectContaining({ kind: expect.any(String) }),
      patch: { metadata: { op: 4 } },
    });
    for (const limit of [1, 2, 3, 4]) {
      expect((await pages(hub, "/sessions/s1/changes?", limit)).flat(), `limit ${limit}`).toEqual(body.items);
    }
    const tasks = (await pages(hub, "/sessions/s1/changes?kind=task&", 3)).flat();
    expect(tasks.map((change) => change.id)).toEqual(["t4", "t3", "t2", "t1"]);
    expect((await rest(hub, "GET /sessions/s1/changes?kind=both")).status).toBe(400);
    const { next_cursor } = (await rest(hub, "GET /sessions/s1/changes?limit=2")).body;
    expect((await rest(hub, `GET /sessions/other/changes?cursor=${next_cursor}`)).status).toBe(400);
    expect((await rest(hub, `GET /sessions/s1/changes?kind=task&cursor=${next_cursor}`)).status).toBe(400);
  });

  test("[R26] a history longer than one read of the log is complete", async () => {
    const hub = await stage.hub();
    await create(hub, "s1");
    for (let index = 1; index <= 230; index++) {
      await rest(hub, "PATCH /sessions/s1", { body: { metadata: { index } } });
    }
    const all = (await pages(hub, "/sessions/s1/changes?", 100)).flat();
    expect(all.map((change) => change.version)).toEqual(Array.from({ length: 231 }, (_, index) => 231 - index));
    expect((await pages(hub, "/sessions/s1/changes?kind=task&", 100)).flat()).toEqual([]);
  });
});

describe("GET /projects/{id}/snapshot", () => {
  test("[R30] [V2] [V4] it holds what was acked before, and only logged fields", async () => {
    const hub = await stage.hub();
    for (let index = 1; index <= 5; index++) {
      await create(hub, `s${index}`);
      const { body } = await rest(hub, "GET /projects/default/snapshot");
      expect(body).toMatchObject({ seq: index, tasks: [] });
      expect(body.sessions).toHaveLength(index);
    }
    const { body } = await rest(hub, "GET /projects/default/snapshot");
    expect(body.epoch).toMatch(/^[0-9a-f]{16}$/);
    expect(body.sessions[0]).not.toHaveProperty("display");
    expect(body).not.toHaveProperty("next_cursor");
  });

  test("[R30] [D12] what another hub committed is in it too", async () => {
    const uri = stage.database().uri;
    const one = await stage.hub({ uri });
    const two = await stage.hub({ uri, key: one.key });
    for (let index = 1; index <= 10; index++) {
      await create(index % 2 === 0 ? one : two, `s${index}`);
      const seen = await rest(index % 2 === 0 ? two : one, "GET /projects/default/snapshot");
      expect(seen.body.seq).toBe(index);
    }
  });

  test("[R30] [V6] [V7] [V8] pages cover each entity once at one seq; dead cursors are GONE", async () => {
    const hub = await stage.hub({ overrides: { limits: { snapshot_page: 3 } } });
    for (let index = 0; index < 7; index++) await create(hub, `s${index}`);
    const seen: string[] = [];
    let path = "GET /projects/default/snapshot";
    for (let page = 0; page < 3; page++) {
      const { body } = await rest(hub, path);
      expect(body.seq).toBe(7);
      seen.push(...body.sessions.map((session: Json) => session.session_id));
      if (page === 0) await create(hub, "later");
      path = `GET /projects/default/snapshot?cursor=${body.next_cursor}`;
      expect(body.next_cursor === undefined).toBe(page === 2);
      if (page === 0) {
        const elsewhere = await rest(hub, path.replace("default", "other"));
        expect(elsewhere).toMatchObject({ status: 400, body: { code: "VALIDATION" } });
      }
    }
    expect(seen.toSorted()).toEqual(["s0", "s1", "s2", "s3", "s4", "s5", "s6"]);
    expect(await rest(hub, "GET /projects/default/snapshot?cursor=0123456789abcdef.3")).toMatchObject({
      status: 410,
      body: { code: "GONE" },
    });
    expect((await rest(hub, "GET /projects/default/snapshot?cursor=zzz")).status).toBe(400);
  });

  test("[R30] [V13] a project without changes is empty, not 404", async () => {
    const hub = await stage.hub();
    expect(await rest(hub, "GET /projects/nothing/snapshot")).toMatchObject({
      status: 200,
      body: { epoch: "", seq: 0, sessions: [], tasks: [] },
    });
    expect((await rest(hub, "GET /projects/a%20b/snapshot")).status).toBe(400);
  });
});
