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
  url.pathname = `/test_${randomBytes(6).toString("hex")}`;
  const uri = url.href;
  const drop = async () => {
    const client = await mongo.MongoClient.connect(uri, { serverSelectionTimeoutMS: 5000 });
    try {
      await client.db().dropDatabase();
    } finally {
      await client.close();
    }
  };
  return { uri, drop };
}
