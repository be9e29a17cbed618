import { StartupError } from "../startup-error.ts";

/** `mongodb://user:secret@host/db?…` without the user's part and the options. */
function hostsOf(uri: string): string {
  return /^mongodb(?:\+srv)?:\/\/(?:[^@/]*@)?([^/?]+)/.exec(uri)?.[1] ?? "the hosts of MONGODB_URI";
}

/**
 * Why MongoDB could not be reached at the start, as one line that says what to do, without the password.
 */
export function explainMongoError(error: unknown, uri: string): StartupError {
  const hosts = hostsOf(uri);
  const text = messagesOf(error).join(" ");
  const say = (line: string) => new StartupError(line, { cause: error });
  if (
    /MongoParseError|Invalid scheme|URI|must be specified|option .* is not supported|unescaped|ERR_INVALID_URL/i.test(
      nameOf(error) + text,
    ) &&
    !/getaddrinfo|ECONN|querySrv/.test(text)
  ) {
    return say(`MONGODB_URI is malformed (${firstLine(text, uri)}); expected mongodb://user:password@host:27017/NAME`);
  }
  if (/querySrv|queryTxt/.test(text)) {
    return say(`the SRV record of ${hosts} cannot be looked up; check the name in MONGODB_URI, DNS, or use mongodb://`);
  }
  if (/auth|credential/i.test(text) && !/selection timed out/i.test(text)) {
    return say(`MongoDB at ${hosts} refuses the credentials of MONGODB_URI; check user, password and authSource`);
  }
  if (/ENOTFOUND|EAI_AGAIN/.test(text)) return say(`the host ${hosts} of MONGODB_URI is not known; check its name`);
  if (/ECONNREFUSED/.test(text)) return say(`nothing listens at ${hosts}; is MongoDB running there?`);
  if (/certificate|SSL|TLS/i.test(text)) return say(`TLS with MongoDB at ${hosts} failed: ${firstLine(text, uri)}`);
  if (/ReplicaSetNoPrimary/.test(text) && hasSeenServer(error)) {
    return say(`MongoDB at ${hosts} has no primary now; is its replica set up?`);
  }
  return say(`MongoDB at ${hosts} does not answer (${firstLine(text, uri)}); a firewall or an address allow list?`);
}

/** Whether any server answered the driver at all. */
function hasSeenServer(error: unknown): boolean {
  const { reason } = error as { reason?: { servers?: Map<string, { type?: string }> } };
  return [...(reason?.servers?.values() ?? [])].some(({ type }) => type !== "Unknown");
}

function nameOf(error: unknown): string {
  return error instanceof Error ? `${error.name} ` : "";
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
  const password = /^[^:]+:\/\/[^:@/]*:([^@]*)@/.exec(uri)?.[1];
  const line = text.split("\n")[0]?.slice(0, 160) ?? "";
  return password === undefined || password === "" ? line : line.replaceAll(password, "***");
}
