import { hostname } from "node:os";
import { z } from "zod";
import { DEFAULT_STALLED_AFTER_MS } from "../shared/display.ts";
import { DEFAULT_LIMITS } from "../shared/limits.ts";
import { LOG_LEVELS } from "../shared/rest/operations.ts";
import { isLoopback } from "./domain/origins.ts";
import { parseRedisUrl } from "./redis/redis-url.ts";
import { StartupError } from "./startup-error.ts";

interface Setting<S extends z.ZodType> {
  readonly schema: S;
  /** What it is, its unit and when to change it: docs/CONFIGURATION.md is made of this. */
  readonly prose: string;
  /** Never shown, not even when it is wrong. */
  readonly secret?: true;
}

function setting<S extends z.ZodType>(schema: S, prose: string, options: { readonly secret?: true } = {}): Setting<S> {
  return { schema, prose, ...options };
}

const integer = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, "must be a whole number")
    .transform(Number)
    .pipe(z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`));

/** Twice as much may come at once. */
const rate = (standard: number, prose: string) =>
  setting(integer(0, 1_000_000).default(standard), `${prose} Twice as many may come at once. 0: no limit.`);

const list = z.string().transform((text) =>
  text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== ""),
);

const url = (...schemes: readonly string[]) =>
  z
    .string()
    .refine(
      (text) => schemes.some((scheme) => text.startsWith(`${scheme}://`) && text.length > scheme.length + 3),
      `must begin with ${schemes.map((scheme) => `${scheme}://`).join(" or ")}`,
    );

/** As browsers send it: no path, no trailing slash, no default port. */
function isOrigin(text: string): boolean {
  return (
    text === "*" || (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && new URL(text).origin === text)
  );
}

const secretText = z.string().min(32, "must have at least 32 characters");

/** Every setting, once. An empty variable counts as unset. */
export const SETTINGS = {
  PORT: setting(integer(0, 65_535).default(3_000), "TCP port of the hub; 0 takes any free one."),
  HOST: setting(
    z.string().default("127.0.0.1"),
    "Address to listen on. Beyond loopback put TLS in front: the hub itself speaks plain HTTP.",
  ),
  DATA_DIR: setting(z.string().default("./data"), "Folder of the embedded MongoDB's data and of the first-run key."),
  MONGODB_URI: setting(
    url("mongodb", "mongodb+srv").optional(),
    "MongoDB to use, database name included (mongodb://host/NAME). Unset: the hub runs its own mongod in DATA_DIR.",
    { secret: true },
  ),
  MONGODB_URI_FILE: setting(
    z.string().optional(),
    "File that holds the MongoDB URI, in place of MONGODB_URI. Read again when it changes: the hub connects with what it says, moves over, and closes the former connections; so the user can be changed without a restart.",
  ),
  MONGODB_MAX_POOL_SIZE: setting(integer(1, 1_000).default(50), "Most connections to MongoDB."),
  MONGODB_MIN_POOL_SIZE: setting(integer(0, 1_000).default(10), "Connections to MongoDB that are kept open."),
  MONGODB_SLOW_MS: setting(
    integer(1, 600_000).default(100),
    "Commands to MongoDB that take longer are logged, in milliseconds.",
  ),
  REDIS_URL: setting(
    url("redis", "rediss")
      .refine(
        (text) => parseRedisUrl(text) !== undefined,
        "must look like redis://[user:password@]host[:port][/db] of one server, neither Cluster nor Sentinel",
      )
      .optional(),
    "Redis 7 or newer, through which hubs on one MongoDB tell each other of changes at once; the same for all of them. One server, neither Cluster nor Sentinel; `rediss://` is TLS, with a CA of your own named in NODE_EXTRA_CA_CERTS (a PEM file, read by Node itself). Unset or away: they follow each other through the log, up to a second later.",
    { secret: true },
  ),
  REDIS_PREFIX: setting(
    z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/, "must be 1 to 64 characters of A-Z a-z 0-9 . _ : -")
      .optional(),
    "Begins the names of the hubs' channels in Redis, the same for all hubs of one MongoDB; keeps environments on one Redis apart, which database numbers do not. Default: `state-hub`, outside production followed by `-` and NODE_ENV.",
  ),
  API_KEYS: setting(
    list.default([]),
    "Comma list of UUIDs, each an operator key for all projects. Unset: the first start makes a key in DATA_DIR.",
    { secret: true },
  ),
  API_KEYS_FILE: setting(
    z.string().optional(),
    "File of operator keys, beside those of API_KEYS: UUIDs, one a line or separated by commas, `#` begins a comment. Read again when it changes: new keys count at once, those that are gone lose their connections.",
  ),
  JWT_SECRET: setting(
    secretText.optional(),
    "Shared secret of at least 32 characters for short-lived tokens (JWT, HS256, HS384 or HS512) in place of keys.",
    { secret: true },
  ),
  JWT_SECRET_PREVIOUS: setting(
    secretText.optional(),
    "The former JWT_SECRET: tokens made with it count until they expire.",
    { secret: true },
  ),
  JWT_JWKS_FILE: setting(
    z.string().optional(),
    "File with the public keys (JWKS, each with a `kid`) of whoever signs tokens. Read again when it changes.",
  ),
  JWT_ISSUER: setting(z.string().optional(), "Tokens have to come from this `iss`. Unset: from any."),
  JWT_AUDIENCE: setting(
    z.string().optional(),
    "Tokens have to be meant for this `aud`. Set it where the issuer signs tokens for others too. Unset: for any.",
  ),
  NODE_ENV: setting(
    z.string().default("production"),
    "`development` with no keys configured and on loopback runs open: any key is accepted.",
  ),
  LOG_LEVEL: setting(
    z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(", ")}`).default("info"),
    "Least level of log lines.",
  ),
  DEBUG: setting(
    z.string().optional(),
    "`1` or `true`: the same as LOG_LEVEL=debug. Names of libraries, which would print keys and content, are ignored.",
  ),
  DEBUG_UNSAFE: setting(
    z.literal("1", "must be 1").optional(),
    "`1`: libraries print for the names in DEBUG, and the MongoDB driver for MONGODB_LOG_*, keys, passwords and content included.",
  ),
  HUB_ID: setting(
    z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "must be 1 to 64 characters of A-Z a-z 0-9 . _ -")
      .optional(),
    "Name of this hub in logs and sessions; the process adds a random part. Default: the host's name.",
  ),
  REQUEST_TIMEOUT_MS: setting(integer(100, 600_000).default(30_000), "Longest answer to a REST request, milliseconds."),
  HEARTBEAT_INTERVAL_MS: setting(
    integer(100, 600_000).default(5_000),
    "How often agents are told to send heartbeats, milliseconds.",
  ),
  LEASE_TTL_MS: setting(
    integer(300, 3_600_000).default(15_000),
    "Without a heartbeat for so long a session is stale, milliseconds; at least twice HEARTBEAT_INTERVAL_MS.",
  ),
  LEASE_GRACE_MS: setting(
    integer(100, 3_600_000).default(30_000),
    "A stale session, or one whose hub is gone, is lost after so long, milliseconds.",
  ),
  MAX_BEATS_PER_SECOND: setting(
    integer(1, 1_000_000).default(2_000),
    "Most heartbeats a second that the agents of this hub are asked for; with more agents interval and ttl grow alike. 2000 take about a tenth of a core when each is for one session, and allow 10,000 agents at the default interval.",
  ),
  LOST_EXPIRY_MS: setting(
    integer(1_000, 31_536_000_000).default(604_800_000),
    "A session that stays lost for so long is ended as FAILED, milliseconds. Default: 7 days.",
  ),
  STALLED_AFTER_MS: setting(
    integer(0, 86_400_000).default(DEFAULT_STALLED_AFTER_MS),
    "An active session shows as stalled when its agent sends heartbeats, but its work stands still for so long, milliseconds; 0: never.",
  ),
  LOG_RETENTION_DAYS: setting(
    integer(0, 36_500).default(30),
    "Changes older than this are trimmed from the log: history, `?at=` and replays reach back no further. What sessions and tasks are now does not depend on it. 0: age is no reason to trim.",
  ),
  LOG_RETENTION_CHANGES: setting(
    integer(0, 1_000_000_000_000).default(1_000_000),
    "Newest changes of each project that the log keeps; older ones are trimmed, but none that is younger than an hour. A change takes about half a kilobyte. The first look at a project's past folds what lies before it, 100,000 changes in 1 to 2 s of CPU; one that takes more than 10 s is given up, and goes on from there when it is asked again. 0: number is no reason to trim.",
  ),
  SESSION_RETENTION_DAYS: setting(
    integer(0, 36_500).default(0),
    "Sessions that ended longer ago are forgotten with their tasks and their history. 0: never.",
  ),
  MAX_CONNECTIONS: setting(
    integer(1, 1_000_000).default(20_000),
    "Most connections of agents and viewers, streams of events included; further ones are asked to come back later. About 100 KB of memory each with an open session.",
  ),
  MAX_CONNECTS_PER_SECOND: setting(
    integer(0, 100_000).default(1_000),
    "New connections a second that this hub takes; further ones are told when to come back, and fewer are taken while the hub is late with its work. 0: as many as come. 1000 take about a core.",
  ),
  MAX_PUBLISHES_PER_SECOND: rate(
    DEFAULT_LIMITS.publishes_per_second,
    "Most publishes, opens and closes of sessions a second on one connection. 1000 take about a sixth of a core.",
  ),
  MAX_KEY_PUBLISHES_PER_SECOND: rate(
    DEFAULT_LIMITS.key_publishes_per_second,
    "The same of all connections with one key, on all hubs together while Redis is there.",
  ),
  MAX_JOINS_PER_SECOND: rate(DEFAULT_LIMITS.joins_per_second, "Most joins of projects a second on one connection."),
  MAX_KEY_REQUESTS_PER_SECOND: rate(
    DEFAULT_LIMITS.key_requests_per_second,
    "Most REST requests a second with one key, on all hubs together while Redis is there.",
  ),
  MAX_FAILED_KEYS_PER_MINUTE: setting(
    integer(0, 1_000_000).default(10),
    "After so many failed keys from one address (of IPv6 a /64 network) within a minute nothing from it is listened to for the rest of that minute; open connections are left alone. Behind a balancer set TRUST_PROXY, or everybody is one address. 0: no limit.",
  ),
  CORS_ALLOW_ORIGINS: setting(
    list
      .refine((origins) => origins.every(isOrigin), "must be * or a list of origins such as https://app.example")
      .default([]),
    "Comma list of origins whose pages may use the hub besides its own, or `*`.",
  ),
  TRUST_PROXY: setting(
    integer(0, 10).default(0),
    "Number of proxies in front whose X-Forwarded-For is believed; 0: none.",
  ),
} as const satisfies Record<string, Setting<z.ZodType>>;

type RawSettings = { readonly [K in keyof typeof SETTINGS]: z.output<(typeof SETTINGS)[K]["schema"]> };

export interface Config extends Omit<RawSettings, "HUB_ID" | "REDIS_PREFIX" | "DEBUG" | "DEBUG_UNSAFE"> {
  readonly HUB_ID: string;
  readonly REDIS_PREFIX: string;
  /** Any key is accepted. */
  readonly isOpen: boolean;
  /** Something in the settings lets operators in: no first-run key is needed. */
  readonly hasKeys: boolean;
  /** Things to tell the operator, though they do not keep the hub from starting. */
  readonly warnings: readonly string[];
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/**
 * Parses and validates the environment, once.
 *
 * @throws StartupError that names every wrong variable
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const values: Record<string, unknown> = {};
  const problems: string[] = [];
  for (const [name, { schema, secret }] of Object.entries(SETTINGS) as [string, Setting<z.ZodType>][]) {
    const raw = env[name] === "" ? undefined : env[name];
    const result = schema.safeParse(raw);
    if (result.success) values[name] = result.data;
    else
      problems.push(`${name} ${result.error.issues[0]?.message}${secret || raw === undefined ? "" : `, not "${raw}"`}`);
  }
  if (problems.length > 0) throw new StartupError(problems.join("; "));
  return resolve(values as RawSettings);
}

function resolve(raw: RawSettings): Config {
  const { DEBUG, DEBUG_UNSAFE, HUB_ID, REDIS_PREFIX, ...settings } = raw;
  const problems: string[] = [];
  const warnings: string[] = [];
  const isDevelopment = settings.NODE_ENV === "development";
  const checked = checkKeys("API_KEYS", settings.API_KEYS, isDevelopment);
  problems.push(...checked.problems);
  warnings.push(...checked.warnings);
  if (settings.LEASE_TTL_MS < 2 * settings.HEARTBEAT_INTERVAL_MS) {
    problems.push("LEASE_TTL_MS must be at least twice HEARTBEAT_INTERVAL_MS");
  }
  const { API_KEYS, API_KEYS_FILE, JWT_SECRET, JWT_SECRET_PREVIOUS, JWT_JWKS_FILE } = settings;
  const hasKeys =
    API_KEYS.length > 0 || [API_KEYS_FILE, JWT_SECRET, JWT_JWKS_FILE].some((given) => given !== undefined);
  const isOpen = isDevelopment && !hasKeys;
  if (isOpen && !isLoopback(settings.HOST)) {
    problems.push("NODE_ENV=development without API_KEYS accepts any key, so HOST must be 127.0.0.1 (or set API_KEYS)");
  }
  if (JWT_SECRET === undefined && JWT_SECRET_PREVIOUS !== undefined) {
    problems.push("JWT_SECRET_PREVIOUS is the secret before JWT_SECRET, which is not set");
  }
  if (settings.MONGODB_URI !== undefined && settings.MONGODB_URI_FILE !== undefined) {
    problems.push("MONGODB_URI and MONGODB_URI_FILE say the same thing; set one of them");
  }
  if (problems.length > 0) throw new StartupError(problems.join("; "));
  if (isOpen) warnings.push("development mode: any API key is accepted");
  if (JWT_JWKS_FILE !== undefined && settings.JWT_AUDIENCE === undefined) {
    warnings.push("JWT_AUDIENCE is not set: tokens that the issuer signs for other services are not told apart");
  }
  if (!isLoopback(settings.HOST)) warnings.push(`plain HTTP on ${settings.HOST}: put TLS in front of it`);
  if (DEBUG_UNSAFE !== undefined) warnings.push("DEBUG_UNSAFE: libraries may print keys, passwords and content");
  const wantsDebug = DEBUG === "1" || DEBUG?.toLowerCase() === "true";
  return {
    ...settings,
    LOG_LEVEL: wantsDebug ? "debug" : settings.LOG_LEVEL,
    HUB_ID:
      HUB_ID ??
      (hostname()
        .replaceAll(/[^A-Za-z0-9._-]/g, "-")
        .replace(/^[^A-Za-z0-9]+/, "")
        .slice(0, 64) ||
        "hub"),
    REDIS_PREFIX: REDIS_PREFIX ?? (settings.NODE_ENV === "production" ? "state-hub" : `state-hub-${settings.NODE_ENV}`),
    isOpen,
    hasKeys,
    warnings,
  };
}

/** What is wrong with configured keys, and what is worth a word; never the keys. Development may use any words. */
export function checkKeys(setting: string, keys: readonly string[], isDevelopment: boolean) {
  const problems: string[] = [];
  const warnings: string[] = [];
  keys.forEach((key, index) => {
    const version = UUID.exec(key)?.[1];
    if (version === undefined && !isDevelopment) problems.push(`${setting}: key ${index + 1} is not a UUID`);
    else if (version !== "4") warnings.push(`${setting}: key ${index + 1} is not a random (version 4) UUID`);
  });
  if (new Set(keys).size < keys.length) problems.push(`${setting} names a key twice`);
  return { problems, warnings };
}
