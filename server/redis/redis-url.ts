import { isIP } from "node:net";

/** Where a Redis is and how to log in there. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly db: number;
  readonly username?: string;
  readonly password?: string;
  /** For `rediss`. The certificate is checked against `host`; its name is sent along, unless it is an address. */
  readonly tls?: { readonly servername?: string };
}

const DEFAULT_PORT = 6379;

/**
 * Reads `redis[s]://[user[:password]@]host[:port][/db]`, or undefined when it is something else. The client's own
 * reading of URLs would let a query string overrule the options that keep an outage harmless.
 */
export function parseRedisUrl(text: string): RedisAddress | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["redis:", "rediss:"].includes(url.protocol)) return undefined;
  const db = /^\/?(\d{0,4})$/.exec(url.pathname)?.[1];
  if (url.hostname === "" || url.search !== "" || url.hash !== "" || db === undefined) return undefined;
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  try {
    return {
      host,
      port: url.port === "" ? DEFAULT_PORT : Number(url.port),
      db: Number(db),
      ...(url.username === "" ? {} : { username: decodeURIComponent(url.username) }),
      ...(url.password === "" ? {} : { password: decodeURIComponent(url.password) }),
      ...(url.protocol === "rediss:" ? { tls: isIP(host) === 0 ? { servername: host } : {} } : {}),
    };
  } catch {
    return undefined;
  }
}
