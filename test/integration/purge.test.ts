import { mongo } from "mongoose";
import { afterEach, describe, expect, test } from "vitest";
import { runCli } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, type Json, viewer, type Wire } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

const SECRET = "swordfish-4711";
const DAY_MS = 24 * 60 * 60_000;
/** Few at a time, so that a project takes several. */
const BOUNDS = { overrides: { bounds: { removedPerEntry: 2, trimSweepMs: 50, raiseProjectedMs: 50 } } };

const open = (wire: Wire, session_id: string) =>
  wire.askOk("session:open", { session_id, machine_id: "m", project_id: "p", metadata: { note: SECRET } });

/** A session with a past, which has ended. */
async function ended(wire: Wire, session_id: string): Promise<void> {
  await open(wire, session_id);
  for (let op = 1; op <= 4; op++) {
    const changes = [
      { kind: "session", metadata: { op, note: `${SECRET} ${op}` } },
      { kind: "task", task_id: `t${op}`, title: `${SECRET} task`, status: "IN_PROGRESS" },
    ];
    await wire.askOk("changes:publish", { session_id, incarnation: 1, op, changes });
  }
  const beat = { sessions: [{ session_id, incarnation: 1, activity: SECRET }] };
  await wire.ask("heartbeat", beat);
  await wire.askOk("session:close", { session_id, incarnation: 1, op: 5, status: "COMPLETED" });
}

async function purge(hub: TestHub, body: Json): Promise<Json> {
  const begun = await rest(hub, "POST /admin/purges", { body });
  expect(begun).toMatchObject({ status: 202, body: { state: "running" } });
  return eventually("the purge is done", async () => {
    const { body: now } = await rest(hub, `GET ${begun.headers.get("location")}`);
    return now.state === "done" ? now : undefined;
  });
}

/** Every document of the database in which this text stands. */
async function whereStands(uri: string, text: string): Promise<string[]> {
  const client = stage.add(await mongo.MongoClient.connect(uri), (connected) => connected.close());
  const found: string[] = [];
  for (const { name } of await client.db().listCollections().toArray()) {
    for await (const document of client.db().collection(name).find()) {
      if (JSON.stringify(document).includes(text)) found.push(`${name}: ${JSON.stringify(document)}`);
    }
  }
  return found;
}

async function joined(hub: TestHub, since?: Json): Promise<{ readonly wire: Wire; readonly answer: Json }> {
  const wire = await viewer(stage, hub);
  return { wire, answer: await wire.askOk("project:join", { project_id: "p", ...(since && { since }) }) };
}

describe("a session that is purged", () => {
  test("[R73] [R74] [D14] [D26] is gone from documents, base and log; viewers of both hubs begin anew; others go on", async () => {
    const { uri } = stage.database();
    const [here, there] = [await stage.hub({ uri, ...BOUNDS }), await stage.hub({ uri, ...BOUNDS })];
    const wire = await agent(stage, here);
    await ended(wire, "a");
    await open(wire, "b").then(() => undefined);
    await wire.askOk("changes:publish", {
      session_id: "b",
      incarnation: 1,
      op: 1,
      changes: [{ kind: "session", metadata: { note: null, kept: true } }],
    });
    const viewers = [await joined(here), await joined(there)];
    const { epoch, seq } = viewers[0]?.answer ?? {};

    expect(await purge(here, { session_id: "a" })).toMatchObject({ project_id: "p", sessions: 1, kept: 0 });

    for (const { wire: viewing } of viewers) expect(await viewing.hears("project:reset")).toHaveLength(1);
    for (const hub of [here, there]) {
      expect((await rest(hub, "GET /sessions/a?project_id=p")).status).toBe(404);
      expect((await rest(hub, "GET /tasks?project_id=p")).body.items).toEqual([]);
      expect((await rest(hub, "GET /projects/p")).body.counts).toMatchObject({ sessions: 1, status: { COMPLETED: 0 } });
      const { answer } = await joined(hub, { epoch, seq });
      expect(answer).toMatchObject({ mode: "snapshot", reason: "epoch", seq: seq + 1 });
      expect(answer.epoch).not.toBe(epoch);
      expect(answer.sessions.map(({ session_id }: Json) => session_id)).toEqual(["b"]);
    }
    // Of b alone: what it said when it began.
    expect((await whereStands(uri, SECRET)).every((place) => place.includes('"b"') && !place.includes("t1"))).toBe(
      true,
    );
    const op2 = { session_id: "b", incarnation: 1, op: 2, changes: [{ kind: "session", metadata: { op: 2 } }] };
    expect(await wire.askOk("changes:publish", op2)).toMatchObject({ seq: seq + 2 });
    expect((await rest(there, "GET /sessions/b?project_id=p")).body).toMatchObject({ metadata: { op: 2, kept: true } });
    expect((await rest(there, `GET /projects/p/changes?since=${epoch}:3`)).body).toMatchObject({ code: "GONE" });
    const past = (await rest(there, `GET /projects/p/snapshot?at=${seq}`)).body;
    expect(past.sessions.map(({ session_id }: Json) => session_id)).toEqual(["b"]);
  });

  test("[R75] may come again under its id, as another one", async () => {
    const hub = await stage.hub(BOUNDS);
    const wire = await agent(stage, hub);
    await ended(wire, "a");
    await purge(hub, { project_id: "p", session_id: "a" });
    expect(await open(await agent(stage, hub), "a")).toMatchObject({ created: true, session: { version: 1 } });
    const { items } = (await rest(hub, "GET /sessions/a/changes?project_id=p")).body;
    expect(items.map(({ type }: Json) => type)).toEqual(["created", "removed"]);
  });

  test("[R76] must be final, and there; and only an operator says so", async () => {
    const hub = await stage.hub(BOUNDS);
    const wire = await agent(stage, hub);
    await open(wire, "a");
    const refusals: [Json, number, string][] = [
      [{ session_id: "a" }, 409, "INVALID_TRANSITION"],
      [{ project_id: "p" }, 409, "INVALID_TRANSITION"],
      [{ session_id: "b", project_id: "p" }, 404, "NOT_FOUND"],
      [{ project_id: "other" }, 404, "NOT_FOUND"],
      [{}, 400, "VALIDATION"],
    ];
    for (const [body, status, code] of refusals) {
      expect(await rest(hub, "POST /admin/purges", { body })).toMatchObject({ status, body: { code } });
    }
    const { key } = (await rest(hub, "POST /admin/keys", { body: { role: "agent", projects: ["p"] } })).body;
    expect((await rest(hub, "POST /admin/purges", { key, body: { session_id: "a" } })).status).toBe(403);
    expect((await rest(hub, "GET /sessions/a?project_id=p")).status).toBe(200);
  });
});

test("[R73] a project that is purged: all of its sessions, and the project from the list; a new session goes on with its numbering", async () => {
  const { uri } = stage.database();
  const hub = await stage.hub({ uri, ...BOUNDS });
  const wire = await agent(stage, hub);
  for (const session_id of ["a", "b", "c", "d", "e"]) await ended(wire, session_id);
  const head = (await rest(hub, "GET /projects/p")).body;
  expect(await purge(hub, { project_id: "p" })).toMatchObject({ sessions: 5, kept: 0 });
  expect((await rest(hub, "GET /projects")).body.items).toEqual([]);
  expect((await rest(hub, "GET /sessions")).body.items).toEqual([]);
  expect(await whereStands(uri, SECRET)).toEqual([]);
  expect(await open(await agent(stage, hub), "f")).toMatchObject({ seq: head.seq + 6 });
  expect((await rest(hub, "GET /projects")).body.items).toMatchObject([{ project_id: "p", counts: { sessions: 1 } }]);
});

test("[R73] state-hub purge: asks on a terminal, elsewhere wants --yes, and waits for the end", async () => {
  const hub = await stage.hub(BOUNDS);
  await ended(await agent(stage, hub), "a");
  const env = { STATE_HUB_URL: hub.url, STATE_HUB_KEY: hub.key };
  const [unsure, nothing] = await Promise.all([
    runCli(["purge", "--session", "a", "--project", "p"], { env }),
    runCli(["purge"], { env }),
  ]);
  expect(unsure).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("--yes") });
  expect(nothing).toMatchObject({ code: 2, stderr: expect.stringContaining("--session") });
  expect((await rest(hub, "GET /sessions/a?project_id=p")).status).toBe(200);
  const done = await runCli(["purge", "--session", "a", "--project", "p", "--yes", "--json"], { env });
  expect(done.code).toBe(0);
  expect(JSON.parse(done.stdout)).toMatchObject({ state: "done", project_id: "p", session_id: "a", sessions: 1 });
  expect((await rest(hub, "GET /sessions/a?project_id=p")).status).toBe(404);
});

test("[R77] SESSION_RETENTION_DAYS: what ended longer ago is forgotten, without a new epoch; what ended later stays", async () => {
  const { uri } = stage.database();
  const first = await stage.hub({ uri, ...BOUNDS });
  const wire = await agent(stage, first);
  for (const session_id of ["a", "b", "c"]) await ended(wire, session_id);
  await open(wire, "d");
  const { epoch, seq } = (await rest(first, "GET /projects/p")).body;
  await first.stop();

  const clock = (real: { now(): number; monotonic(): number }) => ({
    now: () => real.now() + 3.1 * DAY_MS,
    monotonic: () => real.monotonic(),
  });
  const env = { SESSION_RETENTION_DAYS: "3" };
  const later = await stage.hub({ uri, env, overrides: { ...BOUNDS.overrides, clock } });
  await ended(await agent(stage, later), "e");
  const { answer } = await joined(later, { epoch, seq });
  expect(answer).toMatchObject({ mode: "replay", epoch });
  const idsOf = async () =>
    (await rest(later, "GET /sessions?project_id=p")).body.items.map((one: Json) => one.session_id);
  await eventually("the ended ones are gone", async () => (await idsOf()).length === 2);
  expect((await idsOf()).sort()).toEqual(["d", "e"]);
  expect((await rest(later, "GET /projects/p")).body).toMatchObject({ epoch, counts: { sessions: 2 } });
  const left = await whereStands(uri, SECRET);
  expect(left.filter((place) => /"(a|b|c)"/.test(place))).toEqual([]);
});
