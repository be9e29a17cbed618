import { CliError, EXIT } from "./exit.ts";
import { findHub, normalizeUrl } from "./hubs-file.ts";

const DEFAULT_URL = "http://127.0.0.1:3000";

export interface HubAddress {
  readonly url: string;
  /** A hub in development takes any; every other one will say that this is none. */
  readonly key: string;
  /** No key is known: worth saying when the hub refuses. */
  readonly isKeyMissing: boolean;
}

/**
 * Which hub to talk to: `--url`, else STATE_HUB_URL, else the default of hubs.json, else the address of a hub started
 * here. The key: STATE_HUB_KEY, else what hubs.json has for that address.
 */
export function findHubAddress(urlOption: string | undefined, env: NodeJS.ProcessEnv = process.env): HubAddress {
  const asked = urlOption ?? nonEmpty(env.STATE_HUB_URL);
  if (asked !== undefined) assertUrl(asked);
  const known = knownHub(asked, env);
  const key = nonEmpty(env.STATE_HUB_KEY) ?? known?.key;
  const url = asked === undefined ? (known?.url ?? DEFAULT_URL) : normalizeUrl(asked);
  return { url, key: key ?? "none", isKeyMissing: key === undefined };
}

function knownHub(url: string | undefined, env: NodeJS.ProcessEnv) {
  try {
    return findHub(url, env);
  } catch (error) {
    throw new CliError((error as Error).message);
  }
}

export function assertUrl(url: string): void {
  let parsed: URL | undefined;
  try {
    parsed = new URL(url);
  } catch {}
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) {
    throw new CliError(`${JSON.stringify(url)} is no hub's address; it looks like ${DEFAULT_URL}`, EXIT.usage);
  }
  if (parsed.username !== "" || parsed.password !== "") {
    throw new CliError("the address must not hold a user or a key: use STATE_HUB_KEY or state-hub login", EXIT.usage);
  }
}

/** An empty variable counts as unset. */
export function nonEmpty(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}
