import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EntryDocument, SessionDocument, TaskDocument } from "../../server/mongo/codec.ts";
import type { Check } from "../../shared/rest/doctor.ts";
import { INSTALLATION_CHECKS, PROJECT_CHECKS } from "../../shared/rest/doctor.ts";
import { runCli } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { makeKey } from "../support/keys.ts";
import { type Database, openDatabase } from "../support/log-check.ts";
import { metricsOf, rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, type Json } from "../support/wire.ts";

const stage = new Stage();
let uri: string;
let hub: TestHub;
let database: Database;

beforeAll(async () => {
  uri = stage.database().uri;
  // As if everything were older than it is: what waits for its documents is a finding at once.
  hub = await stage.hub({ uri, overrides: { bounds: { doctorBehindMs: -60_000 } } });
  database = await openDatabase(stage, uri);
});
afterAll(stage.clear);

/** A project with a log of several entries, in order and with nothing under way. */
async function filledProject(projectId: string): Promise<void> {
  const wire = await agent(stage, hub);
  const { incarnation } = await wire.askOk("session:open", { session_id: "a", project_id: projectId, machine_id: "m" });
  const publish = { session_id: "a", incarnation };
  await wire.askOk("changes:publish", {
    ...publish,
    op: 1,
    changes: [
      { kind: "session", status: "IDLE", metadata: { step: 1 } },
      { kind: "task", task_id: "t", title: "T" },
      { kind: "task", task_id: "u", title: "U" },
    ],
  });
  await wire.askOk("changes:publish", {
    ...publish,
    op: 2,
    changes: [{ kind: "task", task_id: "t", status: "IN_PROGRESS" }],
  });
  await wire.askOk("session:close", { ...publish, op: 3, status: "COMPLETED" });
  await rest(hub, "POST /sessions", { body: { session_id: "b", project_id: projectId, machine_id: "m" } });
  const { seq } = (await rest(hub, `GET /projects/${projectId}`)).body;
  await eventually("documents and counts are written down", async () => {
    const project = await database.db.collection<Json>("projects").findOne({ _id: projectId });
    const counts = await database.db.collection<Json>("counts").findOne({ _id: projectId });
    return project?.projected_seq === seq && counts?.seq === seq;
  });
}

async function doctor(query: string): Promise<Json> {
  const { status, body } = await rest(hub, `GET /admin/doctor?${query}`);
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

async function findings(projectId: string): Promise<Check[]> {
  const { checks } = await doctor(`project_id=${projectId}`);
  return checks.filter(({ ok }: Check) => ok !== true);
}

const log = () => database.db.collection<EntryDocument>("log");
const sessions = (name = "sessions") => database.db.collection<SessionDocument>(name);
const tasks = () => database.db.collection<TaskDocument>("tasks");

describe("GET /admin/doctor", () => {
  test("[R154] [R155] nothing is wrong: every check has its say about the installation and the project", async () => {
    await filledProject("healthy");
    const report = await doctor("project_id=healthy");
    expect(report.checks.map(({ name }: Check) => name)).toEqual([...INSTALLATION_CHECKS, ...PROJECT_CHECKS]);
    expect(report).toMatchObject({ ok: true, projects: 1 });
    const details = Object.fromEntries(report.checks.map(({ name, detail }: Check) => [name, detail]));
    expect(details).toMatchObject({
      mongodb: expect.stringMatching(/^MongoDB \d+\.\d+\.\d+ answers in [\d.]+ ms$/),
      redis: "none is configured, and none is needed for one hub",
      log: "5 entries without a hole, all that there are",
      projection: "documents hold changes up to 7 of 7",
      documents: "2 sessions that changed last and their tasks are as the log says",
      base: "nothing was trimmed yet",
      counts: "2 sessions looked at, counts agree",
    });
    expect((await doctor("project_id=nobody")).ok).toBe(true);
  });

  test.each<[name: string, damage: (projectId: string) => Promise<unknown>, finding: RegExp]>([
    ["log", (id) => log().deleteOne({ _id: { p: id, s: 2 } } as object), /^changes 2 to 4 are missing$/],
    ["log", (id) => log().deleteOne({ _id: { p: id, s: 1 } } as object), /^changes 1 to 1 are missing$/],
    [
      "log",
      (id) => log().updateOne({ _id: { p: id, s: 6 } } as object, { $set: { epoch: "0000000000000000" } }),
      /entry 6 is of another epoch/,
    ],
    [
      "documents",
      (id) => sessions().updateOne({ _id: `${id}/a` }, { $set: { "metadata.step": 2, environment: "other" } }),
      /^a: the session is not what the log says: environment, metadata$/,
    ],
    [
      "documents",
      (id) => tasks().updateOne({ _id: `${id}/a/t` }, { $set: { version: 1, applied_seq: 3 } }),
      /^a: task t .* lacks change 5, its document ends at 3$/,
    ],
    ["documents", (id) => tasks().deleteOne({ _id: `${id}/a/u` }), /^a: task u has no document$/],
    [
      "documents",
      (id) => tasks().updateOne({ _id: `${id}/a/u` }, { $set: { applied_seq: 40 } }),
      /^a: task u holds change 40, which the log does not have$/,
    ],
    [
      "counts",
      (id) =>
        database.db.collection<Json>("counts").updateOne({ _id: id }, { $inc: { "counts.ACTIVE/unmonitored": 1 } }),
      /^ACTIVE\/unmonitored: the row in `counts` says 2, there are 1$/,
    ],
    [
      "projection",
      (id) => database.db.collection<Json>("projects").updateOne({ _id: id }, { $set: { projected_seq: 99 } }),
      /^documents hold changes up to 99, the log ends at 7$/,
    ],
    [
      "base",
      async (id) => {
        const document = await sessions().findOne({ _id: `${id}/b` });
        await sessions("base_sessions").insertOne({
          ...(document as SessionDocument),
          _id: `${id}/z`,
          session_id: "z",
          applied_seq: 9,
        });
      },
      /^session z is at change 9, documents at 7$/,
    ],
  ])("[R156] %s: damage is found, and nothing else is (%#)", async (name, damage, finding) => {
    const projectId = `damaged-${damageNumber++}`;
    await filledProject(projectId);
    await damage(projectId);
    const found = await findings(projectId);
    // A hole in the log is also missed where documents are compared with it.
    const others = name === "log" ? found.filter((check) => check.name === "log") : found;
    expect(others).toMatchObject([{ name, project_id: projectId, ok: false, detail: expect.stringMatching(finding) }]);
    expect(others[0]?.what_to_do).toContain(`docs/DOCTOR.md, ${name}`);
    expect(await doctor(`project_id=${projectId}`)).toMatchObject({ ok: false });
  });
});

let damageNumber = 0;
void [runCli, metricsOf, makeKey];
