import { afterAll, beforeAll, expect, test } from "vitest";
import { MongoBase } from "../../server/mongo/base.ts";
import { MongoBeats } from "../../server/mongo/beats.ts";
import { MongoChangeLog } from "../../server/mongo/change-log.ts";
import { connectMongo } from "../../server/mongo/connection.ts";
import { databaseOf } from "../../server/mongo/database.ts";
import { MongoHeldSessions } from "../../server/mongo/held-sessions.ts";
import { MongoHubs } from "../../server/mongo/hubs.ts";
import { MongoKeyUses } from "../../server/mongo/key-uses.ts";
import { MongoKeys } from "../../server/mongo/keys.ts";
import { MongoLostSessions } from "../../server/mongo/lost-sessions.ts";
import { prepareDatabase } from "../../server/mongo/prepare-database.ts";
import { MongoProjections } from "../../server/mongo/projections.ts";
import { MongoPurges } from "../../server/mongo/purges.ts";
import { freshDatabase } from "../support/database.ts";
import { QUIET } from "../support/entries.ts";
import { eventually } from "../support/eventually.ts";
import { baseContract } from "./base.ts";
import { beatsContract } from "./beats.ts";
import { changeLogContract } from "./change-log.ts";
import { heldSessionsContract } from "./held-sessions.ts";
import { hubsContract } from "./hubs.ts";
import { keysContract } from "./keys.ts";
import { lostSessionsContract } from "./lost-sessions.ts";
import { projectionsContract } from "./projections.ts";
import { purgesContract } from "./purges.ts";

const database = freshDatabase();
let connection: Awaited<ReturnType<typeof connectMongo>>;

beforeAll(async () => {
  const settings = { uri: database.uri, maxPoolSize: 10, minPoolSize: 0, slowMs: 60_000 };
  connection = await connectMongo(settings, QUIET, { onPrimaryChange: () => {} });
  await prepareDatabase(connection, QUIET, { isAlone: false });
});

afterAll(async () => {
  await connection?.close();
  await database.drop();
});

/** The same database with all its indexes, emptied. */
async function emptied() {
  const db = databaseOf(connection);
  const kept = [
    "log",
    "sessions",
    "tasks",
    "base_sessions",
    "base_tasks",
    "projects",
    "beats",
    "hubs",
    "keys",
    "key_uses",
    "purges",
  ];
  for (const name of kept) await db.collection(name).deleteMany({});
  return db;
}

purgesContract("MongoDB", async () => new MongoPurges(await emptied()));
baseContract("MongoDB", async () => new MongoBase(await emptied()));
changeLogContract("MongoDB", async () => new MongoChangeLog(await emptied(), QUIET));
projectionsContract("MongoDB", async () => new MongoProjections(await emptied()));
lostSessionsContract("MongoDB", async () => {
  const db = await emptied();
  return { projections: new MongoProjections(db), lostSessions: new MongoLostSessions(db) };
});
beatsContract("MongoDB", async () => {
  const db = await emptied();
  const beats = new MongoBeats(db);
  return {
    write: (hubId, rows) => beats.write(hubId, rows),
    read: async (keys) => {
      await new MongoProjections(db).settle();
      return beats.read(keys);
    },
    remove: (keys) => beats.remove(keys),
    findStill: async (since, limit) => {
      await new MongoProjections(db).settle();
      return beats.findStill(since, limit);
    },
  };
});
keysContract("MongoDB", async () => new MongoKeys(await emptied()));
test("[K20] use of keys is kept by hub, and moves the last use of managed keys forward", async () => {
  const db = await emptied();
  const [keys, uses] = [new MongoKeys(db), new MongoKeyUses(db)];
  const [early, late] = ["2026-11-22T12:00:00.000Z", "2026-11-22T12:00:30.000Z"];
  const managed = { role: "agent", projects: ["p"], prefix: "shk_", digest: "0", created_at: early } as const;
  await keys.add({ id: "key-1", ...managed });
  const use = (lastUsedAt: string) => ({ keyId: "key-1", connections: 1, lastUsedAt });
  const configured = { keyId: "config:0", connections: 0, lastUsedAt: undefined };
  await uses.write("hub-1", late, [use(late), configured]);
  await uses.write("hub-2", early, [use(early)]);
  expect(await uses.read(early)).toEqual(
    new Map([
      ["hub-1", [use(late), configured]],
      ["hub-2", [use(early)]],
    ]),
  );
  expect([...(await uses.read(late)).keys()]).toEqual(["hub-1"]);
  // Written without waiting for a majority, which is what keys are read from.
  await eventually("the last use", async () => (await keys.find("key-1"))?.last_used_at === late);
  expect(await keys.list(10)).toHaveLength(1);
  await uses.remove("hub-1");
  expect([...(await uses.read(early)).keys()]).toEqual(["hub-2"]);
});
hubsContract("MongoDB", async () => new MongoHubs(await emptied()));
heldSessionsContract("MongoDB", async () => {
  const db = await emptied();
  return { projections: new MongoProjections(db), held: new MongoHeldSessions(db) };
});

test("looking for the sessions of dead hubs touches neither those of the living nor those of the past", async () => {
  const db = await emptied();
  const sessions = db.collection<{ _id: string; hub_id: string; liveness: string }>("sessions");
  const make = (count: number, liveness: string, hubOf: (index: number) => string) =>
    Array.from({ length: count }, (_, index) => ({
      ...{ _id: `p/${liveness}-${index}`, project_id: "p", session_id: `${liveness}-${index}` },
      ...{ liveness, hub_id: hubOf(index), incarnation: 1 },
    }));
  await sessions.insertMany([
    ...make(300, "online", (index) => `alive.${index % 3}`),
    ...make(300, "ended", (index) => `past.${index}`),
    ...make(2, "stale", () => "dead"),
  ]);
  await db.command({ profile: 2 });
  const held = new MongoHeldSessions(db);
  const alive = ["alive.0", "alive.1", "alive.2"];
  expect(await held.findOtherHub(alive)).toBe("dead");
  expect(await held.findOtherHub([...alive, "dead"])).toBeUndefined();
  expect(await held.readOf("dead", undefined, 1_000)).toHaveLength(2);
  await db.command({ profile: 0 });
  const seen = await db.collection("system.profile").find({ ns: sessions.namespace }).toArray();
  expect(seen).toHaveLength(3);
  for (const { planSummary, keysExamined, docsExamined } of seen) {
    expect(planSummary).toMatch(/^IXSCAN \{ liveness: 1, hub_id: 1, _id: 1, incarnation: 1 \}/);
    expect(keysExamined).toBeLessThan(20);
    expect(docsExamined).toBe(0);
  }
});

test("[B12] looking for lost sessions reads the index of the lost ones alone", async () => {
  const db = await emptied();
  const query = { liveness: "lost", lost_at: { $lt: new Date() } };
  const plan = await db.collection("sessions").find(query).sort({ lost_at: 1 }).limit(10).explain("queryPlanner");
  expect(JSON.stringify(plan.queryPlanner.winningPlan)).toContain('"indexName":"lost_at_1"');
});

test("a database of an earlier version: a shared one is refused, the hub's own gets its indexes", async () => {
  const db = await emptied();
  const sessions = db.collection<{ _id: string }>("sessions");
  await sessions.insertOne({ _id: "p/s" });
  const all = (await sessions.indexes()).map(({ name }) => name).toSorted();
  await sessions.dropIndexes();
  await expect(prepareDatabase(connection, QUIET, { isAlone: false })).rejects.toThrow("build them in mongosh first");
  expect(await sessions.indexes()).toHaveLength(1);
  await prepareDatabase(connection, QUIET, { isAlone: true });
  expect((await sessions.indexes()).map(({ name }) => name).toSorted()).toEqual(all);
});
