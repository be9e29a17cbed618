import mongoose from "mongoose";
import type { Logger } from "../ports.ts";

export interface MongoSettings {
  readonly uri: string;
  readonly maxPoolSize: number;
  readonly minPoolSize: number;
  readonly slowMs: number;
}

/**
 * The one place that connects. Durability is set here and not left to the URI: w:majority, j:true, primary reads and
 * readConcern majority; single commands that ask for less say so themselves.
 */
export async function connectMongo(settings: MongoSettings, log: Logger): Promise<mongoose.Connection> {
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
    appName: "state-hub",
  });
  // Without a listener an error of the connection would end the process; operations report their own.
  connection.on("error", (error: Error) => log.warn({ err: error.message }, "mongodb connection error"));
  connection.on("disconnected", () => log.warn({}, "mongodb is away; publishes wait or are answered UNAVAILABLE"));
  connection.on("reconnected", () => log.info({}, "mongodb is back"));
  await connection.asPromise();
  return connection;
}
