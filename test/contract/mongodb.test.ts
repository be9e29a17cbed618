import { afterAll, beforeAll, expect, test } from "vitest";
import { MongoBeats } from "../../server/mongo/beats.ts";
import { MongoChangeLog } from "../../server/mongo/change-log.ts";
import { connectMongo } from "../../server/mongo/connection.ts";
import { databaseOf } from "../../server/mongo/database.ts";
import { MongoLostSessions } from "../../server/mongo/lost-sessions.ts";
import { prepareDatabase } from "../../server/mongo/prepare-database.ts";
import { MongoProjections } from "../../server/mongo/projections.ts";
import { freshDatabase } from "../support/database.ts";
import { QUIET } from "../support/entries.ts";
import { beatsContract } from "./beats.ts";
import { changeLogContract } from "./change-log.ts";
import { lostSessionsContract } from "./lost-sessions.ts";
import { projectionsContract } from "./projections.ts";

const database = freshDatabase();
let connection: Awaited<ReturnType<typeof connectMongo>>;

beforeAll(async () => {
  const settings = { uri: database.uri, maxPoolSize: 10, minPoolSize: 0, slowMs: 60_000 };
  connection = await connectMongo(settings, QUIET, { onPrimaryChange: () => {} });
  await prepareDatabase(connection, QUIET);
});

afterAll(async () => {
  await connection?.close();
  await database.drop();
});

/** The same database with all its indexes, emptied. */
async function emptied() {
  const db = databaseOf(connection);
  for (const name of ["log", "sessions", "tasks", "projects", "beats"]) await db.collection(name).deleteMany({});
  return db;
}

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
  };
});

test("[B12] looking for lost sessions reads the index of the lost ones alone", async () => {
  const db = await emptied();
  const query = { liveness: "lost", lost_at: { $lt: new Date() } };
  const plan = await db.collection("sessions").find(query).sort({ lost_at: 1 }).limit(10).explain("queryPlanner");
  expect(JSON.stringify(plan.queryPlanner.winningPlan)).toContain('"indexName":"lost_at_1"');
});
