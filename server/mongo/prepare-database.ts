import { randomBytes } from "node:crypto";
import type mongoose from "mongoose";
import type { Logger } from "../ports.ts";
import { StartupError } from "../startup-error.ts";
import { DURABLE, databaseOf, MAJORITY } from "./database.ts";
import { type Models, modelsOf } from "./models.ts";

/** Layout of the collections; a hub refuses a database of another layout. */
const SCHEMA_VERSION = 1;

interface SettingDocument {
  _id: string;
  value: string | number;
}

export interface PreparedDatabase {
  readonly models: Models;
  /** Secret under which session tokens are made; the same for every hub on this database. */
  readonly tokenSecret: string;
}

/**
 * Makes an empty database ours, or makes sure that it is: marker, indexes, secret. Two hubs may do it at once. With
 * `isAlone`, a database that nobody else uses, indexes that a newer version needs are built.
 *
 * @throws StartupError when the database holds something else
 */
export async function prepareDatabase(
  connection: mongoose.Connection,
  log: Logger,
  { isAlone }: { readonly isAlone: boolean },
): Promise<PreparedDatabase> {
  const db = databaseOf(connection);
  const settings = db.collection<SettingDocument>("settings", { readConcern: MAJORITY, writeConcern: DURABLE });
  const marker = await settings.findOne({ _id: "schema_version" });
  if (marker === null && (await db.collection("sessions").findOne({}, { projection: { _id: 1 } })) !== null) {
    throw new StartupError(
      `database ${db.databaseName} has a collection "sessions" that no State Hub wrote; ` +
        "name another database in MONGODB_URI (mongodb://host/NAME)",
    );
  }
  if (marker !== null && marker.value !== SCHEMA_VERSION) {
    throw new StartupError(
      `database ${db.databaseName} has layout ${marker.value}, this hub knows ${SCHEMA_VERSION}; use a matching version`,
    );
  }
  const models = modelsOf(connection);
  for (const model of Object.values(models)) await prepareIndexes(model, log, isAlone);
  await settings.updateOne({ _id: "schema_version" }, { $setOnInsert: { value: SCHEMA_VERSION } }, { upsert: true });
  await settings.updateOne(
    { _id: "token_secret" },
    { $setOnInsert: { value: randomBytes(32).toString("base64url") } },
    { upsert: true },
  );
  const secret = await settings.findOne({ _id: "token_secret" });
  if (typeof secret?.value !== "string") throw new StartupError("settings.token_secret is not readable");
  return { models, tokenSecret: secret.value };
}

/**
 * Built on an empty collection. On a filled one that others may be using they are only looked at, since a build may take
 * long and slow everybody down.
 */
async function prepareIndexes(model: Models[keyof Models], log: Logger, isAlone: boolean): Promise<void> {
  const { collectionName } = model.collection;
  if ((await model.collection.findOne({}, { projection: { _id: 1 } })) === null) {
    await buildIndexes(model);
    return;
  }
  const { toCreate } = await model.diffIndexes({ indexOptionsToCreate: true });
  if (toCreate.length === 0) return;
  if (isAlone) {
    log.info({ collection: collectionName, missing: toCreate }, "building the indexes of this version");
    await buildIndexes(model);
    return;
  }
  const commands = toCreate.map((index) => {
    const [keys, { background: _, ...options }] = index as unknown as [object, Record<string, unknown>];
    const given = Object.keys(options).length === 0 ? [keys] : [keys, options];
    return `db.${collectionName}.createIndex(${given.map((part) => JSON.stringify(part)).join(", ")})`;
  });
  log.error({ collection: collectionName, missing: toCreate }, "indexes are missing");
  throw new StartupError(
    `collection ${collectionName} lacks ${toCreate.length} of its indexes; build them in mongosh first: ${commands.join("; ")}`,
  );
}

/** All of a collection in one command: on an empty database half the time of one by one, on a filled one a single scan. */
async function buildIndexes(model: Models[keyof Models]): Promise<void> {
  const indexes = model.schema.indexes().map(([key, { background: _, ...options }]) => ({ key, ...options }));
  if (indexes.length > 0) await model.collection.createIndexes(indexes as mongoose.mongo.IndexDescription[]);
}
