import { setTimeout as sleep } from "node:timers/promises";
import { CliError, EXIT } from "./exit.ts";
import type { HubAddress } from "./hub-address.ts";
import { printable } from "./output.ts";

interface RestRequest {
  readonly method?: "GET" | "POST" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
  /** Keep asking for so long while the hub is away or unavailable; a request that may simply be repeated. */
  readonly waitMs?: number;
}

interface Problem {
  readonly code?: string;
  readonly detail?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** A refusal by the hub; commands that know more about a code say more. */
export class HubRefusal extends CliError {
  readonly code: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(message: string, exitCode: number, problem: Problem) {
    super(message, exitCode);
    this.code = problem.code ?? "INTERNAL";
    this.details = problem.details ?? {};
  }
}

const REQUEST_TIMEOUT_MS = 35_000;
const PAUSE_MS = 500;

/** The body of a successful answer. */
export async function askHub<T>(hub: HubAddress, request: RestRequest): Promise<T> {
  const giveUpAt = performance.now() + (request.waitMs ?? 0);
  for (;;) {
    const answer = await send(hub, request);
    if (answer instanceof Response && answer.ok) return (await answer.json()) as T;
    const mayAskAgain = answer instanceof Response ? [429, 503, 504].includes(answer.status) : true;
    if (!mayAskAgain || performance.now() + PAUSE_MS > giveUpAt) throw await explain(hub, answer);
    await sleep(PAUSE_MS);
  }
}

async function send(hub: HubAddress, request: RestRequest): Promise<Response | Error> {
  const url = new URL(hub.url + request.path);
  for (const [name, value] of Object.entries(request.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, value);
  }
  try {
    return await fetch(url, {
      method: request.method ?? "GET",
      headers: {
        accept: "application/json",
        "x-api-key": hub.key,
        ...(request.body === undefined ? {} : { "content-type": "application/json" }),
        ...request.headers,
      },
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      redirect: "error",
    });
  } catch (error) {
    return error as Error;
  }
}

async function explain(hub: HubAddress, answer: Response | Error): Promise<CliError> {
  if (!(answer instanceof Response)) return new CliError(unreachable(hub.url, answer), EXIT.unreachable);
  const problem = (await answer.json().catch(() => ({}))) as Problem;
  if (answer.status === 401) return new HubRefusal(badKey(hub), EXIT.noKey, problem);
  if (problem.code === undefined) {
    return new CliError(`what answers at ${hub.url} is not a State Hub (HTTP ${answer.status})`, EXIT.unreachable);
  }
  const text = `the hub refused: ${printable(problem.detail ?? problem.code)} (${problem.code})`;
  return new HubRefusal(text, EXIT.failed, problem);
}

export function unreachable(url: string, error: Error): string {
  const cause = error.cause as { code?: string } | undefined;
  const reason = error.name === "TimeoutError" ? "no answer in time" : (cause?.code ?? error.message);
  return `no hub answers at ${url} (${reason}). Start one with \`state-hub start\`, or name another with STATE_HUB_URL.`;
}

export function badKey(hub: HubAddress): string {
  return hub.isKeyMissing
    ? `the hub at ${hub.url} wants an API key and none is known for it: \`state-hub login ${hub.url}\`, or set STATE_HUB_KEY`
    : `the hub at ${hub.url} does not accept the API key: \`state-hub login ${hub.url}\` with another, or correct STATE_HUB_KEY`;
}
