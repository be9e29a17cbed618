import { mongo } from "mongoose";
import { NoAnswer } from "../patience.ts";
import type { DatabaseTrouble } from "../queries/ports.ts";

/** Server codes of a query that was given up for its time limit. */
const TOO_SLOW = new Set([50, 262]);

/**
 * Server codes of a primary that is missing, going down or changing, or of a user that was taken away (13, 18) before the
 * hub has read the next one from MONGODB_URI_FILE: the same request later may succeed.
 */
const AWAY = new Set([
  6, 7, 13, 18, 43, 63, 89, 91, 150, 189, 234, 237, 9001, 10058, 10107, 11600, 11602, 13388, 13435, 13436,
]);

/** The driver's own errors of the same kind, by name: it does not export the classes of its pool. */
const AWAY_NAMES = new Set([
  "MongoNetworkError",
  "MongoNetworkTimeoutError",
  "MongoServerSelectionError",
  "MongooseServerSelectionError",
  "MongoPoolClosedError",
  "MongoPoolClearedError",
  "PoolClearedOnNetworkError",
  "MongoWaitQueueTimeoutError",
  "MongoNotConnectedError",
  "MongoTopologyClosedError",
  "MongoClientClosedError",
]);

/** What an error of a read says about the database; undefined for errors that are not its fault. */
export function databaseTrouble(error: unknown): DatabaseTrouble {
  if (!(error instanceof mongo.MongoServerError)) {
    return error instanceof NoAnswer || (error instanceof Error && AWAY_NAMES.has(error.name)) ? "away" : undefined;
  }
  const code = Number(error.code);
  if (TOO_SLOW.has(code)) return "slow";
  return AWAY.has(code) ? "away" : undefined;
}
