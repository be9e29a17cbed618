import { randomBytes } from "node:crypto";
import { mongo } from "mongoose";
import { inject } from "vitest";

export interface FreshDatabase {
  readonly uri: string;
  /** For afterAll; does no harm when nothing was written. */
  drop(): Promise<void>;
}

/** A database of its own for a test file (or test) in the MongoDB of this run; created by the first write. */
export function freshDatabase(): FreshDatabase {
  const url = new URL(inject("mongodbUri"));
  url.pathname = `/${inject("databasePrefix")}${randomBytes(6).toString("hex")}`;
  const uri = url.href;
  return { uri, drop: () => withDatabase(uri, (db) => db.dropDatabase()) };
}

export interface LentDatabase {
  readonly uri: string;
  /** When nothing writes to it any more: the next test of this file may have it. */
  giveBack(): void;
}

/** Of this test file, with collections and indexes; what the last test wrote is still there. */
const unused: string[] = [];

/**
 * A database without documents, which earlier tests of this file may have had: making one with all its indexes costs
 * more than most tests. It goes with the run.
 */
export async function lendDatabase(): Promise<LentDatabase> {
  const known = unused.shift();
  if (known !== undefined) await withDatabase(known, empty);
  const uri = known ?? freshDatabase().uri;
  return { uri, giveBack: () => unused.push(uri) };
}

async function empty(db: mongo.Db): Promise<void> {
  const collections = await db.listCollections({}, { nameOnly: true }).toArray();
  await Promise.all(collections.map(({ name }) => db.collection(name).deleteMany({})));
}

async function withDatabase(uri: string, work: (db: mongo.Db) => Promise<unknown>): Promise<void> {
  const client = await mongo.MongoClient.connect(uri, { serverSelectionTimeoutMS: 5000 });
  try {
    await work(client.db());
  } finally {
    await client.close();
  }
}
