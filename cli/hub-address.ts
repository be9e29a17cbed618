import { systemClock } from "../client/clock.ts";
import { StateHubError } from "../client/errors.ts";
import { HubRotation } from "../client/hub-rotation.ts";
import type { Network } from "../client/network.ts";
import { nodeNetwork } from "../client/node/network.ts";
import { CliError, EXIT } from "./exit.ts";
import { findHub, normalizeUrl } from "./hubs-file.ts";

const DEFAULT_URL = "http://127.0.0.1:3000";

export interface HubAddress {
  /** One address, or those of several hubs with commas between: what the SDK takes, and what people are told. */
  readonly url: string;
  /** A hub in development takes any; every other one will say that this is none. */
  readonly key: string;
  /** No key is known: worth saying when the hub refuses. */
  readonly isKeyMissing: boolean;
  /** Certificates and proxy, as the environment has them. */
  readonly network: Network;
  /** Which hub REST requests go to. */
  readonly rotation: HubRotation;
}

/**
 * Which hub to talk to: `--url`, else STATE_HUB_URL, else the default of hubs.json, else the address of a hub started
 * here. The key: STATE_HUB_KEY, else what hubs.json has for that address, or for one of several.
 */
export function findHubAddress(urlOption: string | undefined, env: NodeJS.ProcessEnv = process.env): HubAddress {
  const given = urlOption ?? nonEmpty(env.STATE_HUB_URL);
  const asked = given === undefined ? undefined : normalizedList(given);
  const known = (asked ?? [undefined]).map((url) => knownHub(url, env));
  const key = nonEmpty(env.STATE_HUB_KEY) ?? known.find((hub) => hub?.key !== undefined)?.key;
  return hubAddress(asked ?? [known[0]?.url ?? DEFAULT_URL], key);
}

/** For what is done to one hub, not to those of an installation: a list is refused. */
export function findOneHub(urlOption: string | undefined, env: NodeJS.ProcessEnv = process.env): HubAddress {
  const hub = findHubAddress(urlOption, env);
  if (!hub.url.includes(",")) return hub;
  throw new CliError(`this is for one hub, and ${hub.url} are several: name it with --url`, EXIT.usage);
}

export function hubAddress(urls: readonly string[], key: string | undefined): HubAddress {
  const network = checked(() => nodeNetwork());
  for (const url of urls) checked(() => network.agentFor(url));
  const rotation = new HubRotation(urls, systemClock);
  return { url: urls.join(","), key: key ?? "none", isKeyMissing: key === undefined, network, rotation };
}

function normalizedList(text: string): readonly string[] {
  const urls = text.split(",").map((url) => url.trim());
  for (const url of urls) assertUrl(url);
  return [...new Set(urls.map(normalizeUrl))];
}

/** A certificate or a proxy that cannot be used is the user's to correct. */
function checked<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw error instanceof StateHubError ? new CliError(error.message, EXIT.usage) : error;
  }
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
