import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { applyChange } from "../../shared/apply-change.ts";
import type { Change } from "../../shared/entities.ts";
import { makeKey } from "../support/keys.ts";
import { rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, type Json } from "../support/wire.ts";

const stage = new Stage();
let hub: TestHub;
/** Everything that happened in project `p`, in order. */
let changes: Change[] = [];

beforeAll(async () => {
  const overrides = { bounds: { stateEveryVersions: 4 }, limits: { snapshot_page: 3 } };
  // Nobody beats: a verdict would be a change more.
  hub = await stage.hub({ env: { LEASE_TTL_MS: "600000" }, overrides });
  await happen();
  changes = (await since()).body.items;
});
afterAll(stage.clear);

/** Two sessions and their tasks, changed alone and together. */
async function happen(): Promise<void> {
  const wire = await agent(stage, hub);
  for (const session_id of ["a", "b"]) {
    await wire.askOk("session:open", { session_id, machine_id: "m", project_id: "p" });
  }
  for (let op = 1; op <= 9; op++) {
    const edit = { kind: "session", metadata: { n: op, [`k${op % 3}`]: op % 2 === 0 ? null : { op } } };
    const task = { kind: "task", task_id: `t${op % 2}`, title: `step ${op}` };
    await wire.askOk("changes:publish", { session_id: "a", incarnation: 1, op, changes: [edit, task] });
    await wire.askOk("changes:publish", { session_id: "b", incarnation: 1, op, changes: [edit] });
  }
  await wire.askOk("session:close", { session_id: "b", incarnation: 1, op: 10, status: "COMPLETED" });
}

const since = (query = "limit=500") => rest(hub, `GET /projects/p/changes?${query}`);
const at = (moment: number | string, session = "a") => rest(hub, `GET /sessions/${session}?project_id=p&at=${moment}`);

/** What a mirror holds after the change with this seq, by kind and id. */
function mirrorAt(seq: number): Map<string, Json> {
  const entities = new Map<string, Json>();
  for (const change of changes.slice(0, seq)) {
    const key = `${change.kind}/${change.session_id}/${change.id}`;
    entities.set(key, applyChange(entities.get(key), change));
  }
  return entities;
}

async function snapshotAt(moment: number | string): Promise<Json> {
  const first = await rest(hub, `GET /projects/p/snapshot?at=${moment}`);
  expect(first.status, JSON.stringify(first.body)).toBe(200);
  const whole = { ...first.body, sessions: [...first.body.sessions], tasks: [...first.body.tasks] };
  for (let cursor = first.body.next_cursor; cursor !== undefined; ) {
    const { body } = await rest(hub, `GET /projects/p/snapshot?cursor=${cursor}`);
    whole.sessions.push(...body.sessions);
    whole.tasks.push(...body.tasks);
    cursor = body.next_cursor;
  }
  return whole;
}

describe("GET /projects/{id}/changes", () => {
  test("[R35] pages by position give each change once, in order, as viewers get it", async () => {
    expect(changes.map(({ seq }) => seq)).toEqual(changes.map((_, index) => index + 1));
    const paged: Json[] = [];
    let next = `${(await since()).body.epoch}:0`;
    for (;;) {
      const { status, body } = await since(`since=${next}&limit=7`);
      expect(status).toBe(200);
      expect(body.length).toBe(body.items.length);
      next = body.next;
      if (body.items.length === 0) break;
      expect(body.seq).toBe(body.items.at(-1).seq);
      paged.push(...body.items);
    }
    expect(paged).toEqual(changes);
    const { body } = await rest(hub, "GET /projects/p/snapshot");
    expect(next).toBe(`${body.epoch}:${body.seq}`);
  });

  test("[R35] a position of another epoch, or ahead of the log, is 410 GONE", async () => {
    const { epoch, seq } = (await since()).body;
    for (const position of [`0000000000000000:${seq}`, `${epoch}:${seq + 1}`, ":1"]) {
      expect(await since(`since=${position}`)).toMatchObject({ status: 410, body: { code: "GONE" } });
    }
    for (const wrong of ["since=5", "since=x:y", "since=a:-1", "limit=0", "limit=501"]) {
      expect(await since(wrong)).toMatchObject({ status: 400, body: { code: "VALIDATION" } });
    }
  });

  test("[R53] a project without changes has none, and its position goes on into its first changes", async () => {
    const empty = await rest(hub, "GET /projects/new/changes");
    expect(empty).toMatchObject({ status: 200, body: { items: [], next: ":0", epoch: "", seq: 0 } });
    await rest(hub, "POST /sessions", { body: { session_id: "first", machine_id: "m", project_id: "new" } });
    const { body } = await rest(hub, "GET /projects/new/changes?since=:0");
    expect(body.items).toMatchObject([{ seq: 1, type: "created", id: "first" }]);
  });
});

describe("what was", () => {
  test("[R34] a session at each seq is what a mirror held then", async () => {
    for (const { seq } of changes) {
      for (const id of ["a", "b"]) {
        const held = mirrorAt(seq).get(`session/${id}/${id}`);
        const answer = await at(seq, id);
        if (held === undefined) expect(answer).toMatchObject({ status: 404, body: { code: "NOT_FOUND" } });
        else expect(answer).toMatchObject({ status: 200, body: held });
        if (held !== undefined) expect(answer.body).toEqual(held);
      }
    }
  });

  test("[R34] a project's snapshot at each seq is what a mirror held then, whatever its pages", async () => {
    for (const { seq } of changes) {
      const { sessions, tasks, ...snapshot } = await snapshotAt(seq);
      expect(snapshot.seq).toBe(seq);
      const held = [...mirrorAt(seq).values()];
      const byKey = (a: Json, b: Json) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
      expect([...sessions, ...tasks].toSorted(byKey)).toEqual(held.toSorted(byKey));
    }
    expect(await snapshotAt(0)).toMatchObject({ seq: 0, sessions: [], tasks: [] });
  });

  test("[R34] a time is the last change made by then", async () => {
    for (const { at: time } of changes) {
      const last = changes.findLast((change) => change.at <= time);
      expect((await snapshotAt(time)).seq).toBe(last?.seq);
      const held = mirrorAt(last?.seq ?? 0).get("session/a/a");
      expect((await at(time)).body).toEqual(held);
    }
    const before = new Date(Date.parse(changes[0]?.at ?? "") - 1).toISOString();
    expect((await snapshotAt(before)).seq).toBe(0);
    expect(await at(before)).toMatchObject({ status: 404, body: { code: "NOT_FOUND" } });
    expect((await snapshotAt("2100-01-01T00:00:00Z")).seq).toBe(changes.length);
  });

  test("[R54] a seq ahead of the log and what is no moment are VALIDATION", async () => {
    for (const moment of [changes.length + 1, "yesterday", "-1", "1.5", "9999-12-31T23:59:59-12:00"]) {
      for (const path of ["/sessions/a?project_id=p&", "/projects/p/snapshot?"]) {
        const answer = await rest(hub, `GET ${path}at=${moment}`);
        expect(answer).toMatchObject({ status: 400, body: { code: "VALIDATION", errors: [{ field: "at" }] } });
      }
    }
  });

  test("[K8] another tenant's past is as closed to a key as its present", async () => {
    const stranger = await makeKey(hub, { role: "viewer", projects: ["q"] });
    for (const path of ["/projects/p/changes", "/projects/p/snapshot?at=1", "/sessions/a?project_id=p&at=1"]) {
      const answer = await rest(hub, `GET ${path}`, { key: stranger.key });
      expect(answer).toMatchObject({ status: 403, body: { code: "FORBIDDEN", detail: "Not Authorized" } });
    }
    expect((await rest(hub, "GET /sessions/a?at=1", { key: stranger.key })).status).toBe(404);
  });
});
