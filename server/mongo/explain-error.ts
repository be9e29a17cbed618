import mongoose, { mongo } from "mongoose";
import { NoAnswer } from "../patience.ts";
import { StartupError } from "../startup-error.ts";

/** `mongodb://user:secret@host/db?…` without the user's part and the options; a secret may hold any character. */
function hostsOf(uri: string): string {
  return /^mongodb(?:\+srv)?:\/\/(?:.*@)?([^/?@]+)/.exec(uri)?.[1] ?? "the hosts of MONGODB_URI";
}

/** Errors of the driver that are about the URI itself; what remains of its kinds came from outside. */
const MALFORMED = new Set(["MongoParseError", "MongoInvalidArgumentError", "MongoAPIError", "URIError", "TypeError"]);

/** An error that speaks of the database, rather than of a bug. */
export function isMongoError(error: unknown): boolean {
  return error instanceof mongo.MongoError || error instanceof mongoose.MongooseError || error instanceof NoAnswer;
}

/**
 * Why MongoDB could not be used at the start, as one line that says what to do, without the password.
 */
export function explainMongoError(error: unknown, uri: string): StartupError {
  const hosts = hostsOf(uri);
  const text = messagesOf(error).join(" ");
  const say = (line: string) => new StartupError(line, { cause: error });
  if (/querySrv|queryTxt/.test(text)) {
    return say(`the SRV record of ${hosts} cannot be looked up; check the name in MONGODB_URI, DNS, or use mongodb://`);
  }
  if ((error instanceof Error && MALFORMED.has(error.name)) || /Unable to parse/.test(text)) {
    return say(`MONGODB_URI is malformed (${firstLine(text, uri)}); expected mongodb://user:password@host:27017/NAME`);
  }
  if (codeOf(error) === UNAUTHORIZED) {
    return say(`MongoDB at ${hosts} does not let this user read and write the database; check user and roles`);
  }
  if (codeOf(error) === INVALID_NAMESPACE) return say(`MONGODB_URI names a database that MongoDB does not accept`);
  if (/auth|credential/i.test(text) && !/selection timed out/i.test(text)) {
    return say(`MongoDB at ${hosts} refuses the credentials of MONGODB_URI; check user, password and authSource`);
  }
  if (/ENOTFOUND|EAI_AGAIN/.test(text)) return say(`the host ${hosts} of MONGODB_URI is not known; check its name`);
  if (/ECONNREFUSED/.test(text)) return say(`nothing listens at ${hosts}; is MongoDB running there?`);
  if (/certificate|SSL|TLS/i.test(text)) return say(`TLS with MongoDB at ${hosts} failed: ${firstLine(text, uri)}`);
  if (/ReplicaSetNoPrimary/.test(text)) {
    const types = serverTypes(error);
    if (types.length === 0) return say(`MongoDB at ${hosts} is not of the replicaSet that MONGODB_URI names`);
    if (types.some((type) => type !== "Unknown")) {
      return say(`MongoDB at ${hosts} has no primary now; is its replica set up?`);
    }
  }
  return say(`MongoDB at ${hosts} does not answer (${firstLine(text, uri)}); a firewall or an address allow list?`);
}

const UNAUTHORIZED = 13;
const INVALID_NAMESPACE = 73;

function codeOf(error: unknown): unknown {
  return error instanceof mongo.MongoServerError ? error.code : undefined;
}

/** What the driver knows of each server: `Unknown` has not answered, one of another set is not in the list at all. */
function serverTypes(error: unknown): string[] {
  const { reason } = error as { reason?: { servers?: Map<string, { type?: string }> } };
  return [...(reason?.servers?.values() ?? [])].map(({ type }) => type ?? "Unknown");
}

/** The messages of an error, of what caused it, and of the servers that the driver tried. */
function messagesOf(error: unknown, depth = 0): string[] {
  if (!(error instanceof Error) || depth > 5) return [];
  const messages = [error.message];
  const { reason } = error as { reason?: { type?: string; servers?: Map<string, { error?: unknown }> } };
  if (reason?.type !== undefined) messages.push(reason.type);
  for (const server of reason?.servers?.values() ?? []) messages.push(...messagesOf(server.error, depth + 1));
  return [...messages, ...messagesOf(error.cause, depth + 1)];
}

function firstLine(text: string, uri: string): string {
  const secret = /^[^:]+:\/\/[^:@/]*:(.*)@/.exec(uri)?.[1] ?? "";
  const line = text.split("\n")[0]?.slice(0, 160) ?? "";
  return secret === "" ? line : line.replaceAll(secret, "***");
}
