import mongoose from "mongoose";
import type { Logger } from "../ports.ts";
import { StartupError } from "../startup-error.ts";
import { explainMongoError } from "./explain-error.ts";
import { weakerOption } from "./weaker-option.ts";

export interface MongoSettings {
  readonly uri: string;
  readonly maxPoolSize: number;
  readonly minPoolSize: number;
}

interface MongoEvents {
  /** Another server became primary: writes that only the former one had may be gone. */
  readonly onPrimaryChange: () => void;
}

/**
 * Names of arrays whose elements shall come as bytes: none. The driver's own `{}` has the names of Object.prototype as
 * well, so that the objects in an array under a key such as `toString` would come back as Buffers.
 */
const NO_FIELDS_AS_RAW = Object.fromEntries(
  Object.getOwnPropertyNames(Object.prototype)
    // These two are no keys of ours, and would change what this very object is.
    .filter((name) => name !== "constructor" && name !== "__proto__")
    .map((name) => [name, false]),
);

/**
 * The one place that connects. Durability is set here and not left to the URI: w:majority, j:true, primary reads and
 * readConcern majority; single commands that ask for less say so themselves.
 *
 * @throws StartupError that says what to do
 */
export async function connectMongo(
  settings: MongoSettings,
  log: Logger,
  events: MongoEvents,
): Promise<mongoose.Connection> {
  const weaker = weakerOption(settings.uri);
  if (weaker !== undefined) {
    const text = `MONGODB_URI asks for ${weaker}, less than an ack promises; take it out, the hub asks for majority and journal`;
    throw new StartupError(text);
  }
  try {
    const connection = mongoose.createConnection(settings.uri, {
      maxPoolSize: settings.maxPoolSize,
      minPoolSize: Math.min(settings.minPoolSize, settings.maxPoolSize),
      // The writer keeps its batch and tries again itself: better an early word than a long wait.
      serverSelectionTimeoutMS: 3_000,
      socketTimeoutMS: 10_000,
      connectTimeoutMS: 5_000,
      writeConcern: { w: "majority", journal: true },
      readConcern: { level: "majority" },
      readPreference: "primary",
      bufferCommands: false,
      autoIndex: false,
      autoCreate: false,
      ignoreUndefined: true,
      fieldsAsRaw: NO_FIELDS_AS_RAW,
      appName: "state-hub",
    });
    // Without a listener an error of the connection would end the process; operations report their own.
    connection.on("error", (error: Error) => log.warn({ reason: error.message }, "mongodb connection error"));
    await connection.asPromise();
    watch(connection, log, events);
    return connection;
  } catch (error) {
    throw explainMongoError(error, settings.uri);
  }
}

function watch(connection: mongoose.Connection, log: Logger, events: MongoEvents): void {
  let isClosing = false;
  connection.on("disconnecting", () => {
    isClosing = true;
  });
  connection.on("disconnected", () => {
    if (!isClosing) log.warn({}, "mongodb is away; publishes wait, then hear UNAVAILABLE");
  });
  connection.on("reconnected", () => log.info({}, "mongodb is back"));
  const client = connection.getClient();
  client.on("serverDescriptionChanged", ({ previousDescription, newDescription }) => {
    if (newDescription.type !== "RSPrimary" || previousDescription.type === "RSPrimary") return;
    log.info({ address: newDescription.address }, "mongodb has a primary again");
    events.onPrimaryChange();
  });
}
