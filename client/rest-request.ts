import type { Problem } from "../shared/error-schemas.ts";
import { connectFailure } from "./connect-failure.ts";
import { StateHubError } from "./errors.ts";
import { type KeySource, keyFrom } from "./key-source.ts";

export interface RestOptions {
  /** Of one hub, or of the balancer before several; e.g. `http://127.0.0.1:3000`. */
  readonly url: string;
  /** API key or token, or what gives one: asked before every request. */
  readonly key: KeySource;
  /** Default 35 s, with the answer. */
  readonly timeoutMs?: number;
  /** In place of the runtime's own, e.g. one that knows a proxy. */
  readonly fetch?: typeof fetch;
}

export interface RestRequest {
  readonly method?: "GET" | "POST" | "PATCH" | "DELETE";
  /** Parts of the path, not encoded yet. */
  readonly path: readonly string[];
  readonly query?: object;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
}

const DEFAULT_TIMEOUT_MS = 35_000;

/** The answer's body. Nothing is repeated: `retryable` of the error tells whether that makes sense. */
export async function ask<T>(options: RestOptions, request: RestRequest): Promise<T> {
  const text = await askText(options, request);
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw noHub(options.url, "no JSON", cause);
  }
}

/** @throws StateHubError */
export async function askText(options: RestOptions, request: RestRequest): Promise<string> {
  const { url, timeoutMs = DEFAULT_TIMEOUT_MS, fetch: send = fetch } = options;
  const { method = "GET", body } = request;
  const key = await keyFrom(options.key);
  const headers = {
    accept: "application/json",
    "x-api-key": key,
    ...(body === undefined ? {} : { "content-type": "application/json" }),
    ...request.headers,
  };
  let response: Response;
  let text: string;
  try {
    response = await send(addressOf(url, request), {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    text = await response.text();
  } catch (cause) {
    const reason =
      (cause as Error).name === "TimeoutError" ? `no answer in ${timeoutMs} ms` : connectFailure(cause, url);
    throw new StateHubError("UNREACHABLE", `no hub answers at ${url} (${reason})`, { cause });
  }
  if (response.ok) return text;
  throw errorOf(url, response, text);
}

function addressOf(url: string, { path, query = {} }: RestRequest): URL {
  const address = new URL(path.map(encodeURIComponent).join("/"), url.endsWith("/") ? url : `${url}/`);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) address.searchParams.set(name, String(value));
  }
  return address;
}

function errorOf(url: string, response: Response, text: string): StateHubError {
  const problem = problemOf(text);
  if (typeof problem?.code !== "string") return noHub(url, `HTTP ${response.status}`, undefined);
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  return new StateHubError(problem.code, problem.detail ?? problem.code, {
    // A code that is newer than this client: the status says what it is about.
    retryable: [429, 503, 504].includes(response.status),
    retryAfterMs: Number.isFinite(seconds) ? seconds * 1_000 : undefined,
    details: problem.details,
    requestId: problem.request_id,
  });
}

function problemOf(text: string): Partial<Problem> | undefined {
  try {
    return (JSON.parse(text) ?? {}) as Partial<Problem>;
  } catch {
    return undefined;
  }
}

function noHub(url: string, what: string, cause: unknown): StateHubError {
  return new StateHubError("UNREACHABLE", `what answers at ${url} is not a State Hub (${what})`, { cause });
}
