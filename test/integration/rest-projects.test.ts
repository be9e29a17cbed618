import { afterEach, describe, expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import { ProjectCounts } from "../../server/counting/project-counts.ts";
import { MongoChangeLog } from "../../server/mongo/change-log.ts";
import { MongoCounts } from "../../server/mongo/counts.ts";
import { MongoProjections } from "../../server/mongo/projections.ts";
import { Projects } from "../../server/writer/projects.ts";
import { QUIET } from "../support/entries.ts";
import { eventually } from "../support/eventually.ts";
import { makeKey } from "../support/keys.ts";
import { openDatabase } from "../support/log-check.ts";
import { Random } from "../support/random.ts";
import { rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, type Json } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

async function create(hub: TestHub, session_id: string, project_id: string, more: object = {}): Promise<void> {
  const { status } = await rest(hub, "POST /sessions", { body: { session_id, project_id, machine_id: "m1", ...more } });
  expect(status).toBe(201);
}

const project = async (hub: TestHub, id: string): Promise<Json> => {
  const { status, body } = await rest(hub, `GET /projects/${id}`);
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
};

/** The words of a count that are not 0. */
const told = (counts: Record<string, number>) => Object.fromEntries(Object.entries(counts).filter(([, n]) => n > 0));

/** The same from the list of sessions. */
async function listed(hub: TestHub, projectId: string) {
  const { items } = (await rest(hub, `GET /sessions?project_id=${projectId}&limit=500`)).body;
  const by = (word: (session: Json) => string) => {
    const counts: Record<string, number> = {};
    for (const session of items) counts[word(session)] = (counts[word(session)] ?? 0) + 1;
    return counts;
  };
  return {
    status: by((session) => session.status),
    liveness: by((session) => session.liveness),
    display: by((session) => session.display.state),
  };
}

async function expectTrue(hub: TestHub, projectId: string): Promise<void> {
  const { counts } = await project(hub, projectId);
  const { status, liveness, display } = counts;
  expect({ status: told(status), liveness: told(liveness), display: told(display) }).toEqual(
    await listed(hub, projectId),
  );
}

/** What a check of the hub's own store says, by parts of its own. */
async function checked(uri: string, projectId: string) {
  const { db } = await openDatabase(stage, uri);
  const stores = { changeLog: new MongoChangeLog(db, QUIET), projections: new MongoProjections(db) };
  const clock = { now: Date.now, monotonic: () => performance.now() };
  const common = { ...stores, clock, log: QUIET, bounds: BOUNDS };
  const projects = new Projects(common);
  const counts = stage.add(new ProjectCounts({ ...common, projects, store: new MongoCounts(db) }), (all) => all.stop());
  return counts.check(await projects.get(projectId));
}

describe("GET /projects/{id}", () => {
  test("[R33] [R51] counts follow every change, by status, liveness and display", async () => {
    const hub = await stage.hub();
    await create(hub, "a", "p");
    await create(hub, "b", "p", { status: "WAITING" });
    const wire = await agent(stage, hub);
    const { incarnation } = await wire.askOk("session:open", { session_id: "c", project_id: "p", machine_id: "m" });
    const before = await project(hub, "p");
    expect(before).toMatchObject({ project_id: "p", seq: 3, epoch: expect.stringMatching(/^[0-9a-f]{16}$/) });
    expect(before.created_at).toBe((await rest(hub, "GET /sessions/a")).body.created_at);
    expect(before.counts.sessions).toBe(3);
    expect(before.counts.status).toEqual({
      ...{ ACTIVE: 2, IDLE: 0, WAITING: 1, PAUSED: 0 },
      ...{ COMPLETED: 0, FAILED: 0, CANCELLED: 0 },
    });
    expect(told(before.counts.liveness)).toEqual({ online: 1, unmonitored: 2 });
    expect(told(before.counts.display)).toEqual({ working: 1, "needs you": 1, unmonitored: 1 });
    const publish = { session_id: "c", incarnation, op: 1 };
    const tasks = [{ kind: "task", task_id: "t", title: "x" }];
    await wire.askOk("changes:publish", { ...publish, changes: [{ kind: "session", status: "IDLE" }, ...tasks] });
    await rest(hub, "PATCH /sessions/a", { body: { metadata: { a: 1 } } });
    await rest(hub, "POST /sessions/b/close", { body: { status: "FAILED" } });
    await wire.askOk("session:open", { session_id: "a", project_id: "p", machine_id: "m" });
    const { seq, counts } = await project(hub, "p");
    expect(seq).toBe(8);
    expect(told(counts.status)).toEqual({ ACTIVE: 1, IDLE: 1, FAILED: 1 });
    expect(told(counts.liveness)).toEqual({ online: 2, ended: 1 });
    expect(told(counts.display)).toEqual({ working: 1, idle: 1, failed: 1 });
  });

  test("[R33] [R41] who stands still is counted as stalled, on any hub", async () => {
    const uri = stage.database().uri;
    const quick = {
      ...{ uri, env: { STALLED_AFTER_MS: "300" } },
      overrides: { bounds: { beatWriteBackMs: 50 } },
    };
    const one = await stage.hub(quick);
    const two = await stage.hub({ ...quick, key: one.key });
    const wire = await agent(stage, one);
    const { incarnation } = await wire.askOk("session:open", { session_id: "s", project_id: "p", machine_id: "m" });
    await create(one, "other", "p");
    for (const hub of [one, two]) {
      await eventually("stalled", async () => {
        await wire.askOk("heartbeat", { sessions: [{ session_id: "s", incarnation, activity: "linking" }] });
        const { display } = (await project(hub, "p")).counts;
        return display.stalled === 1 && display.working === 0;
      });
    }
    await wire.askOk("session:close", { session_id: "s", incarnation, op: 1, status: "COMPLETED" });
    expect(told((await project(one, "p")).counts.display)).toEqual({ finished: 1, unmonitored: 1 });
  });

  test("[R51] with hubs that write one project at once, and after their end, every count is right", async () => {
    const uri = stage.database().uri;
    const one = await stage.hub({ uri });
    const two = await stage.hub({ uri, key: one.key, overrides: { bounds: { countsSaveMs: 30 } } });
    const random = new Random(7);
    const statuses = ["ACTIVE", "IDLE", "WAITING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED"];
    const write = async (hub: TestHub, name: string) => {
      for (let index = 0; index < 40; index++) {
        const id = `${name}${random.integer(0, 14)}`;
        if (random.chance(0.5)) await rest(hub, "POST /sessions", { body: { session_id: id, machine_id: "m" } });
        else await rest(hub, `PATCH /sessions/${id}`, { body: { status: random.pick(statuses) } });
        if (index % 13 === 0) await rest(hub, "GET /projects/default");
      }
    };
    await Promise.all([write(one, "x"), write(two, "x"), write(one, "y")]);
    await expectTrue(one, "default");
    await expectTrue(two, "default");
    const check = await checked(uri, "default");
    expect(check?.recounted).toEqual(check?.kept);
    expect(check?.kept.seq).toBe((await project(one, "default")).seq);

    // As after a crash: what was written down is older than the log, gone, or of another life of the project.
    const { db } = await openDatabase(stage, uri);
    const counts = db.collection<{ _id: string }>("counts");
    await two.stop();
    await create(one, "late", "default");
    await one.stop();
    const { length: saved } = await counts.find().toArray();
    expect(saved).toBe(1);
    for (const damage of [
      () => counts.deleteMany({}),
      () =>
        counts.updateOne({ _id: "default" }, { $set: { epoch: "0123456789abcdef", counts: { "ACTIVE/lost": 99 } } }),
      // A log that does not say where sessions stood, as of an earlier release, or that does not begin at 1 any more.
      async () => {
        await counts.deleteMany({});
        await db.collection("log").updateMany({}, { $unset: { "changes.$[].was": "" } });
      },
      async () => {
        await counts.deleteMany({});
        await db.collection("log").deleteMany({ "_id.p": "default", "_id.s": { $lt: 20 } });
      },
    ]) {
      await damage();
      const again = await stage.hub({ uri, key: one.key });
      await expectTrue(again, "default");
      await create(again, `after${(await project(again, "default")).seq}`, "default");
      await expectTrue(again, "default");
      await again.stop();
    }
  });

  test("[R33] a project without changes is empty; other methods, parameters and ids are refused", async () => {
    const hub = await stage.hub();
    const empty = await project(hub, "nothing");
    expect(empty).toMatchObject({ project_id: "nothing", epoch: "", seq: 0, counts: { sessions: 0 } });
    expect((await rest(hub, "GET /projects")).body).toEqual({ items: [], length: 0 });
    expect((await rest(hub, "GET /projects/a%20b")).status).toBe(400);
    expect((await rest(hub, "POST /projects", { body: {} })).status).toBe(405);
    expect((await rest(hub, "GET /projects?cursor=abc")).body.errors).toMatchObject([{ field: "cursor" }]);
    expect((await rest(hub, "GET /projects?limit=0")).body.errors).toMatchObject([{ field: "limit" }]);
  });
});

describe("GET /projects", () => {
  test("[R33] [R11] [K8] projects by id, in pages, those alone that the key may read", async () => {
    const hub = await stage.hub();
    const ids = ["acme-1", "acme-2", "acmeco", "b", "c"];
    // In the list as soon as the first change is acked.
    for (const [index, id] of ids.entries()) {
      await create(hub, "s", id);
      expect((await rest(hub, "GET /projects")).body.length).toBe(index + 1);
    }
    await create(hub, "t", "b");
    const pages: string[][] = [];
    for (let cursor = ""; ; ) {
      const { body } = await rest(hub, `GET /projects?limit=2${cursor}`);
      pages.push(body.items.map(({ project_id }: Json) => project_id));
      if (body.next_cursor === undefined) break;
      cursor = `&cursor=${body.next_cursor}`;
    }
    expect(pages).toEqual([["acme-1", "acme-2"], ["acmeco", "b"], ["c"]]);
    const { items } = (await rest(hub, "GET /projects")).body;
    expect(items[3]).toEqual(await project(hub, "b"));
    expect(items[3]).toMatchObject({ project_id: "b", seq: 2, counts: { sessions: 2 } });
    const tenant = await makeKey(hub, { role: "viewer", projects: ["acme-*", "b", "none"] });
    const seen = (await rest(tenant, "GET /projects")).body;
    expect(seen.items.map(({ project_id }: Json) => project_id)).toEqual(["acme-1", "acme-2", "b"]);
    const { next_cursor } = (await rest(tenant, "GET /projects?limit=2")).body;
    expect((await rest(tenant, `GET /projects?limit=2&cursor=${next_cursor}`)).body.items).toHaveLength(1);
    const [forbidden, missing] = [await rest(tenant, "GET /projects/c"), await rest(tenant, "GET /projects/zzz")];
    expect(forbidden).toMatchObject({ status: 403, body: { code: "FORBIDDEN" } });
    expect({ ...missing.body, request_id: "" }).toEqual({ ...forbidden.body, request_id: "" });
  });
});
