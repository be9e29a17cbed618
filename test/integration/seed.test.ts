import { afterEach, expect, test } from "vitest";
import { seedDatabase, seedProject } from "../../bench/support/seed-database.ts";
import { openDatabase } from "../support/log-check.ts";
import { rest } from "../support/rest.ts";
import { Stage } from "../support/test-hub.ts";

const stage = new Stage();
afterEach(stage.clear);

test("[R51] a seeded database is one that a hub goes on with: documents, counts and history agree", async () => {
  const { uri } = stage.database();
  await seedDatabase({ uri, sessions: 210, changes: 1_050, projects: 2, say: () => {} });
  const { db } = await openDatabase(stage, uri);
  const indexes = (await db.collection("sessions").indexes()).length;
  const hub = await stage.hub({ uri });
  expect((await db.collection("sessions").indexes()).length).toBe(indexes);
  const project = seedProject(1);
  const body = { session_id: "mine", machine_id: "m", project_id: project };
  expect((await rest(hub, "POST /sessions", { body })).status).toBe(201);
  const { seq, counts } = (await rest(hub, `GET /projects/${project}`)).body;
  expect(seq).toBe(526);
  expect(counts.sessions).toBe(106);
  for (const [liveness, count] of Object.entries(counts.liveness)) {
    const list = await rest(hub, `GET /sessions?project_id=${project}&liveness=${liveness}&limit=500`);
    expect(list.body.length, liveness).toBe(count);
  }
  const history = await rest(hub, `GET /sessions/s-7/changes?project_id=${project}`);
  expect(history.body.items.map(({ version }: { version: number }) => version)).toEqual([5, 4, 3, 2, 1]);
});
