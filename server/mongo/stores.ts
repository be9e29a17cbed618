import type { Config } from "../config.ts";
import { withPatience } from "../patience.ts";
import type { Logger } from "../ports.ts";
import { MongoBase } from "./base.ts";
import { MongoBeats } from "./beats.ts";
import { MongoChangeLog } from "./change-log.ts";
import { connectMongo } from "./connection.ts";
import { MongoCounts } from "./counts.ts";
import { databaseOf } from "./database.ts";
import { MongoHealth } from "./health.ts";
import { MongoHeldSessions } from "./held-sessions.ts";
import { MongoHubRecords } from "./hub-records.ts";
import { MongoHubs } from "./hubs.ts";
import { MongoInspection } from "./inspection.ts";
import { MongoKeyUses } from "./key-uses.ts";
import { MongoKeys } from "./keys.ts";
import { MongoLostSessions } from "./lost-sessions.ts";
import { prepareDatabase } from "./prepare-database.ts";
import { MongoProjections } from "./projections.ts";
import { MongoPurges } from "./purges.ts";
import { MongoQueries } from "./queries.ts";
import { SlowCalls } from "./slow-calls.ts";

/** How long the core waits for any one answer; everything that it asks may be asked again. */
const PATIENCE_MS = 5_000;

/**
 * Everything that lives in MongoDB, connected and checked.
 *
 * @throws StartupError
 */
export async function openStores(config: Config, uri: string, log: Logger, onPrimaryChange: () => void) {
  const connection = await connectMongo(
    {
      uri,
      maxPoolSize: config.MONGODB_MAX_POOL_SIZE,
      minPoolSize: config.MONGODB_MIN_POOL_SIZE,
    },
    log,
    { onPrimaryChange },
  );
  try {
    const db = databaseOf(connection);
    const slow = new SlowCalls(log);
    const patience = {
      ms: PATIENCE_MS,
      slowMs: config.MONGODB_SLOW_MS,
      onSlow: (method: string, ms: number) => slow.add(method, ms),
    };
    const { models, tokenSecret } = await prepareDatabase(connection, log, {
      isAlone: config.MONGODB_URI === undefined && config.MONGODB_URI_FILE === undefined,
    });
    const health = new MongoHealth(db);
    if (await health.isStandalone()) {
      log.warn({}, "mongodb is a standalone server: durable, but nothing takes over when it fails; use a replica set");
    }
    const beats = withPatience(new MongoBeats(db), patience);
    return {
      tokenSecret,
      health,
      changeLog: withPatience(new MongoChangeLog(db, log), { ...patience, bounded: ["append"] }),
      projections: withPatience(new MongoProjections(db), patience),
      base: withPatience(new MongoBase(db), patience),
      beats,
      counts: withPatience(new MongoCounts(db), patience),
      hubs: withPatience(new MongoHubs(db), patience),
      hubRecords: withPatience(new MongoHubRecords(db), patience),
      heldSessions: withPatience(new MongoHeldSessions(db), patience),
      lostSessions: withPatience(new MongoLostSessions(db), patience),
      keys: withPatience(new MongoKeys(db), patience),
      purges: withPatience(new MongoPurges(db), patience),
      keyUses: withPatience(new MongoKeyUses(db), patience),
      queries: withPatience(new MongoQueries(models, beats), patience),
      inspection: withPatience(new MongoInspection(db, models), patience),
      close: () => connection.close(),
    };
  } catch (error) {
    await connection.close();
    throw error;
  }
}
