import type mongoose from "mongoose";
import type { mongo } from "mongoose";

/** The driver's database behind a mongoose connection; hot paths use its commands directly. */
export function databaseOf(connection: mongoose.Connection): mongo.Db {
  const { db } = connection;
  if (db === undefined) throw new Error("not connected to MongoDB");
  return db;
}

export const MAJORITY = { level: "majority" } as const;

/** Writes that must survive: acked when a majority has them in its journal. */
export const DURABLE = { w: "majority", j: true } as const;

/** Projections are rebuildable: the primary's word is enough. */
export const FAST = { w: 1, j: false } as const;

/** Compares above every number, so that `{p, s: MAX_SEQ}` is above every entry of the project. */
export const MAX_SEQ = Number.POSITIVE_INFINITY;

/** The log's key. One constructor, because the order of its fields counts in MongoDB. */
export function logKey(projectId: string, fromSeq: number): { p: string; s: number } {
  return { p: projectId, s: fromSeq };
}
