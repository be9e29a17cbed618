import { connect } from "node:net";
import type { Json } from "./wire.ts";

interface Address {
  readonly url: string;
  readonly key: string;
}

export interface RestAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Json;
}

export interface RestOptions {
  readonly body?: unknown;
  /** Sent as it is, without a Content-Type of its own. */
  readonly raw?: string | Uint8Array<ArrayBuffer>;
  readonly headers?: Readonly<Record<string, string>>;
  /** null: no key at all. */
  readonly key?: string | null;
}

/** One REST request with the hub's key, its answer parsed where it is JSON. */
export async function rest(hub: Address, request: string, options: RestOptions = {}): Promise<RestAnswer> {
  const [method = "GET", path = "/"] = request.split(" ");
  const { body, raw, headers, key = hub.key } = options;
  const response = await fetch(`${hub.url}${path}`, {
    method,
    headers: {
      ...(key === null ? {} : { "X-Api-Key": key }),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...headers,
    },
    ...(raw !== undefined ? { body: raw } : body !== undefined ? { body: JSON.stringify(body) } : {}),
  });
  const text = await response.text();
  const isJson = /\bjson\b/.test(response.headers.get("content-type") ?? "");
  return {
    status: response.status,
    headers: response.headers,
    body: isJson && text !== "" ? JSON.parse(text) : text || undefined,
  };
}

/** What the hub tells Prometheus. */
export async function metricsOf(hub: Address): Promise<string> {
  const response = await fetch(`${hub.url}/metrics`, { headers: { "X-Api-Key": hub.key } });
  if (response.status !== 200) throw new Error(`/metrics answered ${response.status}`);
  return await response.text();
}

/** Sends bytes as they are and collects what comes until the hub closes the connection. */
export function rawHttp(hub: Address, bytes: string, timeoutMs = 10_000): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(hub.url).port), "127.0.0.1", () => socket.write(bytes));
    let text = "";
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`still open after ${timeoutMs} ms: ${text}`)));
    socket.on("data", (chunk) => {
      text += chunk.toString();
    });
    socket.on("close", () => resolve(text));
    socket.on("error", reject);
  });
}
