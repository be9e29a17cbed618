import { afterAll, beforeAll, expect, test } from "vitest";
import { connectMongo } from "../../server/mongo/connection.ts";
import { databaseOf } from "../../server/mongo/database.ts";
import { findAll } from "../../server/mongo/find-all.ts";
import { freshDatabase } from "../support/database.ts";
import { QUIET } from "../support/entries.ts";

const database = freshDatabase();
let connection: Awaited<ReturnType<typeof connectMongo>>;

beforeAll(async () => {
  const settings = { uri: database.uri, maxPoolSize: 2, minPoolSize: 0, slowMs: 60_000 };
  connection = await connectMongo(settings, QUIET, { onPrimaryChange: () => {} });
});

afterAll(async () => {
  await connection?.close();
  await database.drop();
});

test("[R11] a page of more than 16 MB is whole, in its order, and leaves no cursor open", async () => {
  const db = databaseOf(connection);
  await db.collection("wide").deleteMany({});
  const text = "x".repeat(1024 * 1024);
  const numbers = Array.from({ length: 25 }, (_, index) => index);
  const wide = db.collection<{ _id: number; toString: string; text: string }>("wide");
  for (const _id of numbers) await wide.insertOne({ _id, toString: `${_id}`, text });
  // Of this collection alone: other test files use the same mongod.
  const idleCursors = () =>
    connection
      .getClient()
      .db("admin")
      .aggregate(
        [{ $currentOp: { allUsers: true, idleCursors: true } }, { $match: { ns: wide.namespace, type: "idleCursor" } }],
        { readConcern: { level: "local" } },
      )
      .toArray();
  const found = await findAll<{ _id: number; toString: string; text: string }>(db, "wide", {
    ...{ filter: {}, sort: { _id: -1 }, limit: 20, maxTimeMS: 10_000, readConcern: { level: "local" } },
  });
  expect(found.map(({ _id }) => _id)).toEqual(numbers.toReversed().slice(0, 20));
  expect(found.every((one) => one.text === text && one.toString === `${one._id}`)).toBe(true);
  expect(await idleCursors()).toEqual([]);
});
