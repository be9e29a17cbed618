import { mongo } from "mongoose";
import { afterEach, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { rest } from "../support/rest.ts";
import { Stage, type TestHub } from "../support/test-hub.ts";
import { agent, type Json, viewer } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

/** Every change may go at once, but the newest 4. */
const TRIMMING = {
  env: { LOG_RETENTION_CHANGES: "4", LOG_RETENTION_DAYS: "0" },
  overrides: { bounds: { trimYoungestMs: 0, trimSweepMs: 50, trimChanges: 2, raiseProjectedMs: 50 } },
};

async function work(hub: TestHub): Promise<void> {
  const wire = await agent(stage, hub);
  for (const session_id of ["a", "b"])
    await wire.askOk("session:open", { session_id, machine_id: "m", project_id: "p" });
  for (let op = 1; op <= 6; op++) {
    for (const session_id of ["a", "b"]) {
      const changes = [
        { kind: "session", metadata: { op } },
        { kind: "task", task_id: "t", title: `${op}` },
      ];
      await wire.askOk("changes:publish", { session_id, incarnation: 1, op, changes });
    }
  }
}

const snapshotAt = (hub: TestHub, seq: number) => rest(hub, `GET /projects/p/snapshot?at=${seq}`);

/** The oldest seq whose state can still be told, when it has been trimmed as far as it goes. */
async function trimmedTo(hub: TestHub, seq: number): Promise<number> {
  await eventually(`the log begins after ${seq}`, async () => (await snapshotAt(hub, seq - 1)).status === 410);
  return seq;
}

test("[D22] [R34] [R35] [V5] what is trimmed is 410 or expired, what is not is as it was, and the present does not change", async () => {
  const { uri } = stage.database();
  const before = await stage.hub({ uri, env: { LOG_RETENTION_CHANGES: "0" } });
  await work(before);
  const epoch = (await rest(before, "GET /projects/p/changes?limit=1")).body.epoch;
  const past: Json[] = [];
  for (let seq = 1; seq <= 26; seq++) past.push((await snapshotAt(before, seq)).body);
  const session = (await rest(before, "GET /sessions/a?project_id=p")).body;
  await before.stop();

  const after = await stage.hub({ uri, ...TRIMMING });
  // Changes 25 and 26 are one entry, and 21 to 24 the two that are kept with it.
  const oldest = await trimmedTo(after, 22);
  for (let seq = oldest; seq <= 26; seq++) expect((await snapshotAt(after, seq)).body).toEqual(past[seq - 1]);
  for (const path of ["snapshot?at=3", `changes?since=${epoch}:3`, "changes", "snapshot?at=2026-01-01T00:00:00Z"]) {
    expect(await rest(after, `GET /projects/p/${path}`)).toMatchObject({ status: 410, body: { code: "GONE" } });
  }
  expect(await rest(after, "GET /sessions/a?project_id=p&at=3")).toMatchObject({ status: 410, body: { code: "GONE" } });
  const kept = await rest(after, `GET /sessions/a?project_id=p&at=${oldest}`);
  expect(kept.body).toEqual(past[oldest - 1].sessions.find(({ session_id }: Json) => session_id === "a"));
  expect((await rest(after, `GET /projects/p/changes?since=${epoch}:${oldest}`)).body.items).toHaveLength(26 - oldest);
  const wire = await viewer(stage, after);
  const joined = await wire.askOk("project:join", { project_id: "p", since: { epoch, seq: 3 } });
  expect(joined).toMatchObject({ mode: "snapshot", reason: "expired", epoch, seq: 26 });
  expect(session).toMatchObject(joined.sessions.find(({ session_id }: Json) => session_id === "a"));
});

test("[D22] documents that are lost are made anew from the base and the log", async () => {
  const { uri } = stage.database();
  const first = await stage.hub({ uri, ...TRIMMING });
  await work(first);
  await trimmedTo(first, 22);
  const shown = (await rest(first, "GET /projects/p/snapshot")).body;
  await first.stop();
  const client = stage.add(await mongo.MongoClient.connect(uri), (open) => open.close());
  for (const name of ["sessions", "tasks", "projects"]) await client.db().collection(name).deleteMany({});

  const second = await stage.hub({ uri, ...TRIMMING });
  const again = (await rest(second, "GET /projects/p/snapshot")).body;
  const byId = (a: Json, b: Json) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
  expect(again.tasks.toSorted(byId)).toEqual(shown.tasks.toSorted(byId));
  expect(again.sessions.toSorted(byId)).toEqual(shown.sessions.toSorted(byId));
  expect((await snapshotAt(second, 3)).status).toBe(410);
});
