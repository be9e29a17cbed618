import { mongo } from "mongoose";
import { databaseTrouble } from "./database-trouble.ts";

export interface Find {
  readonly filter: object;
  /** Documents at most. */
  readonly limit: number;
  readonly sort?: object;
  readonly hint?: object;
  readonly maxTimeMS?: number;
  readonly readConcern: { readonly level: "local" | "majority" };
}

/**
 * The driver's default is an object with a prototype: it would leave undecoded whatever stands in a field called `toString`.
 */
const NOTHING_RAW = { fieldsAsRaw: Object.create(null) as object };

/**
 * What a page holds, by the plain find command: of 50 documents the driver's cursor makes a fifth more CPU, for knowing how to
 * go on. As with the driver's own reads, one that finds its connection closed or its primary gone is asked once more.
 */
export async function findAll<D extends object>(db: mongo.Db, collection: string, query: Find): Promise<D[]> {
  const ask = () => db.command({ find: collection, ...query, batchSize: query.limit }, NOTHING_RAW);
  const reply = await ask().catch((error: unknown) => {
    if (databaseTrouble(error) !== "away") throw error;
    return ask();
  });
  const { firstBatch, id } = reply.cursor as { readonly firstBatch: D[]; readonly id: number | mongo.Long };
  if (Number(id) === 0) return firstBatch;
  // More than the 16 MB of one answer: asked for anew. Where the cursor left behind cannot be ended, the server ends it.
  const cursors = [typeof id === "number" ? mongo.Long.fromNumber(id) : id];
  await db.command({ killCursors: collection, cursors }).catch(() => {});
  const { filter, ...options } = query;
  const cursor = db.collection(collection).find(filter, options as mongo.FindOptions);
  return (await cursor.toArray()) as unknown as D[];
}
