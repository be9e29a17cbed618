import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EntryDocument, SessionDocument, TaskDocument } from "../../server/mongo/codec.ts";
import { type Check, INSTALLATION_CHECKS, PROJECT_CHECKS } from "../../shared/rest/doctor.ts";
import { runCli } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { type Database, openDatabase } from "../support/log-check.ts";
import { rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, type Json } from "../support/wire.ts";

/** What is written down from time to time is written at once. */
const QUICK = { bounds: { countsSaveMs: 50, raiseProjectedMs: 50 } };

const stage = new Stage();
let uri: string;
let hub: TestHub;
let database: Database;

beforeAll(async () => {
  uri = stage.database().uri;
  hub = await stage.hub({ uri, overrides: QUICK });
  database = await openDatabase(stage, uri);
});
afterAll(stage.clear);

/** As the doctor sees it. */
const named = (name: string) => database.db.collection<{ _id: string }>(name, { readConcern: { level: "majority" } });
const sessions = (name = "sessions") => database.db.collection<SessionDocument>(name);
const tasks = () => database.db.collection<TaskDocument>("tasks");
const log = () => database.db.collection<EntryDocument>("log");
const key = (p: string, s: number) => ({ _id: { p, s } }) as object;

/** A project with 5 entries, 7 changes, sessions a (with tasks t and u) and b, and with nothing under way. */
async function fill(projectId: string): Promise<void> {
  const wire = await agent(stage, hub);
  const open = await wire.askOk("session:open", { session_id: "a", project_id: projectId, machine_id: "m" });
  const publish = { session_id: "a", incarnation: open.incarnation };
  const changes = [
    { kind: "session", status: "IDLE", metadata: { step: 1 } },
    { kind: "task", task_id: "t", title: "T" },
    { kind: "task", task_id: "u", title: "U" },
  ];
  await wire.askOk("changes:publish", { ...publish, op: 1, changes });
  const progress = [{ kind: "task", task_id: "t", status: "IN_PROGRESS" }];
  await wire.askOk("changes:publish", { ...publish, op: 2, changes: progress });
  await wire.askOk("session:close", { ...publish, op: 3, status: "COMPLETED" });
  await rest(hub, "POST /sessions", { body: { session_id: "b", project_id: projectId, machine_id: "m" } });
  await eventually("documents and counts are written down", async () => {
    const project = await named("projects").findOne({ _id: projectId });
    const counts = await named("counts").findOne({ _id: projectId });
    return project !== null && "projected_seq" in project && project.projected_seq === 7 && counts !== null;
  });
}

async function doctor(query = ""): Promise<Json> {
  const { status, body } = await rest(hub, `GET /admin/doctor?${query}`);
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

const cli = (...args: string[]) =>
  runCli(["doctor", ...args], { env: { STATE_HUB_URL: hub.url, STATE_HUB_KEY: hub.key } });

describe("GET /admin/doctor", () => {
  test("[R81] [R82] nothing is wrong: every check says so of the installation and the project", async () => {
    await fill("healthy");
    const report = await doctor("project_id=healthy");
    expect(report).toMatchObject({ ok: true, projects: 1 });
    expect(report.checks.map(({ name }: Check) => name)).toEqual([...INSTALLATION_CHECKS, ...PROJECT_CHECKS]);
    expect(Object.fromEntries(report.checks.map(({ name, detail }: Check) => [name, detail]))).toMatchObject({
      mongodb: expect.stringMatching(/^MongoDB \d+\.\d+\.\d+ answers in [\d.]+ ms$/),
      redis: "none is configured, and none is needed for one hub",
      indexes: "every index of this release is there",
      hubs: "1 hub alive",
      log: "5 entries without a hole, all that there are",
      projection: "documents hold changes up to 7 of 7",
      documents: "2 sessions that changed last and their tasks are as the log says",
      base: "nothing was trimmed yet",
      counts: "2 sessions looked at, counts agree",
    });
    expect(await doctor("project_id=nobody")).toMatchObject({ ok: true });
  });

  test.each<[name: string, finding: RegExp, damage: (id: string) => Promise<unknown>]>([
    ["log", /^changes 2 to 4 are missing$/, (id) => log().deleteOne(key(id, 2))],
    ["log", /^change 1 is missing$/, (id) => log().deleteOne(key(id, 1))],
    ["log", /entry 6 is of another epoch/, (id) => log().updateOne(key(id, 6), { $set: { epoch: "0".repeat(16) } })],
    [
      "documents",
      /^a: the session is not what the log says: environment, metadata$/,
      (id) => sessions().updateOne({ _id: `${id}/a` }, { $set: { "metadata.step": 2, environment: "other" } }),
    ],
    [
      "documents",
      /^a: task t lacks change 5, its document ends at 3$/,
      (id) => tasks().updateOne({ _id: `${id}/a/t` }, [{ $set: EARLIER_TASK }]),
    ],
    ["documents", /^a: task u has no document$/, (id) => tasks().deleteOne({ _id: `${id}/a/u` })],
    [
      "counts",
      /^ACTIVE\/unmonitored: the row in `counts` says 2, there are 1$/,
      (id) => named("counts").updateOne({ _id: id }, { $inc: { "counts.ACTIVE/unmonitored": 1 } }),
    ],
    [
      "projection",
      /^documents hold changes up to 99, the log ends at 7$/,
      (id) => named("projects").updateOne({ _id: id }, { $set: { projected_seq: 99 } }),
    ],
    [
      "base",
      /^session z is at change 9, documents at 7$/,
      async (id) => {
        const { _id, ...document } = (await sessions().findOne({ _id: `${id}/b` })) as SessionDocument;
        const ahead = { ...document, _id: `${id}/z`, session_id: "z", applied_seq: 9 };
        await sessions("base_sessions").insertOne(ahead);
      },
    ],
  ])("[R83] damage is found, and nothing else: %s, %s", async (name, finding, damage) => {
    const id = `damaged-${damaged++}`;
    await fill(id);
    await damage(id);
    const { ok, checks } = await doctor(`project_id=${id}`);
    expect(ok).toBe(false);
    const wrong = checks.filter((check: Check) => check.ok === false);
    expect(wrong).toEqual([
      {
        ...{ name, project_id: id, ok: false, detail: expect.stringMatching(finding) },
        what_to_do: expect.stringContaining(`docs/DOCTOR.md, ${name}`),
      },
    ]);
  });

  test("[R81] all projects, page by page; one asker at a time", async () => {
    await fill("zebra");
    const seen: string[] = [];
    let page = await doctor("limit=2");
    expect(page.checks.slice(0, INSTALLATION_CHECKS.length).map(({ name }: Check) => name)).toEqual(
      INSTALLATION_CHECKS,
    );
    for (;;) {
      const ids = page.checks.flatMap(({ project_id }: Check) => project_id ?? []);
      seen.push(...new Set<string>(ids));
      if (page.next_cursor === undefined) break;
      expect(page.projects).toBe(2);
      page = await doctor(`limit=2&cursor=${page.next_cursor}`);
      expect(page.checks[0].project_id).toBeDefined();
    }
    expect(seen).toEqual(await log().distinct("_id.p"));
    expect(seen).toContain("zebra");

    const answers = await Promise.all([1, 2].map(() => rest(hub, "GET /admin/doctor")));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 503]);
    expect(answers.find(({ status }) => status === 503)?.body).toMatchObject({ code: "OVERLOADED" });
    expect((await rest(hub, "GET /admin/doctor?limit=101")).status).toBe(400);
    expect((await rest(hub, "GET /admin/doctor?cursor=x")).status).toBe(400);
  });

  test("[R81] state-hub doctor shows what somebody has to read, and ends with 1 when something is wrong", async () => {
    const all = await cli();
    expect(all.code).toBe(1);
    expect(all.stdout).toMatch(/^ok {6}mongodb: MongoDB /);
    expect(all.stdout).toMatch(/^WRONG {3}damaged-0 log: changes 2 to 4 are missing\n {8}→ .*docs\/DOCTOR.md, log$/m);
    expect(all.stdout).not.toContain("healthy");
    expect(all.stderr).toMatch(/projects looked at, something is wrong\n$/);
    const one = await cli("--project", "healthy");
    expect(one).toMatchObject({ code: 0, stderr: "state-hub: 1 project looked at, nothing is wrong\n" });
    expect(one.stdout).toMatch(/^ok {6}healthy counts: 2 sessions looked at, counts agree$/m);
    const json = await cli("--project", "damaged-0", "--json");
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, projects: 1, checks: expect.any(Array) });
  });
});

let damaged = 0;
const EARLIER_TASK = {
  ...{ version: 1, seq: 3, applied_seq: 3, edit_version: 1 },
  ...{ status: "PENDING", updated_at: "$created_at" },
};

test("[R83] [R74] a purge is no damage", async () => {
  await fill("forgetful");
  const { status, body } = await rest(hub, "POST /admin/purges", {
    body: { project_id: "forgetful", session_id: "a" },
  });
  expect(status, JSON.stringify(body)).toBe(202);
  await eventually("it is purged", async () => {
    return (await rest(hub, `GET /admin/purges/${body.purge_id}`)).body.state === "done";
  });
  await rest(hub, "PATCH /sessions/b?project_id=forgetful", { body: { status: "IDLE" } });
  const { ok, checks } = await doctor("project_id=forgetful");
  expect(ok, JSON.stringify(checks)).toBe(true);
});

/** Steps of docs/DOCTOR.md. */
test("[R83] what the runbooks say mends documents and counts", async () => {
  await fill("mended");
  await sessions().updateOne({ _id: "mended/a" }, { $set: { environment: "other" } });
  await tasks().deleteOne({ _id: "mended/a/u" });
  await named("counts").updateOne({ _id: "mended" }, { $inc: { "counts.ACTIVE/unmonitored": 1 } });
  expect(await doctor("project_id=mended")).toMatchObject({ ok: false });
  await hub.stop();
  await sessions().deleteOne({ _id: "mended/a" });
  await tasks().deleteMany({ _id: /^mended\/a\// });
  await named("projects").updateOne({ _id: "mended" }, { $set: { projected_seq: 0 } });
  await named("counts").deleteOne({ _id: "mended" });
  hub = await stage.hub({ uri, key: hub.key, overrides: QUICK });
  const { ok, checks } = await doctor("project_id=mended");
  expect(ok, JSON.stringify(checks)).toBe(true);
});

test("[R83] nothing is wrong while two hubs write one project and trim it", async () => {
  const busy = {
    // A database of their own: projects are shared by the hubs, and each trims as it is set.
    ...{ uri: stage.database().uri, key: hub.key, env: { LOG_RETENTION_CHANGES: "40", LOG_RETENTION_DAYS: "0" } },
    overrides: { bounds: { ...QUICK.bounds, trimYoungestMs: 0, trimSweepMs: 20, trimChanges: 10 } },
  };
  const hubs = [await stage.hub(busy), await stage.hub(busy)];
  let isDone = false;
  const write = async (at: TestHub, name: string) => {
    const wire = await agent(stage, at);
    while (!isDone) {
      const session_id = `${name}-${randomUUID()}`;
      const open = await wire.askOk("session:open", { session_id, project_id: "busy", machine_id: "m" });
      const publish = { session_id, incarnation: open.incarnation };
      for (let op = 1; op <= 8; op++) {
        const task = { kind: "task", task_id: `t${op % 3}`, title: `${op}` };
        const changes = [{ kind: "session", metadata: { op } }, task];
        await wire.askOk("changes:publish", { ...publish, op, changes });
      }
      await wire.askOk("session:close", { ...publish, op: 9, status: "COMPLETED" });
    }
  };
  const writing = hubs.flatMap((at, index) => [write(at, `x${index}`), write(at, `y${index}`)]);
  const seen: Check[] = [];
  for (let look = 0; look < 8; look++) {
    const { body } = await rest(hubs[look % 2] as TestHub, "GET /admin/doctor?project_id=busy");
    seen.push(...body.checks);
  }
  isDone = true;
  await Promise.all(writing);
  expect(seen.filter(({ ok }) => ok === false)).toEqual([]);
  await eventually("it was trimmed", async () => {
    const { status } = await rest(hubs[0] as TestHub, "GET /projects/busy/snapshot?at=1");
    return status === 410;
  });
  const { ok, checks } = (await rest(hubs[0] as TestHub, "GET /admin/doctor?project_id=busy")).body;
  expect(ok, JSON.stringify(checks)).toBe(true);
});
