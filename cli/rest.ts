import type { Agent } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { connectFailure } from "../client/connect-failure.ts";
import { CliError, EXIT } from "./exit.ts";
import { exchange, type HttpAnswer, Unanswered } from "./http.ts";
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

/** Done by no hub that answers so: another one may be asked. */
const NOT_DONE: ReadonlySet<string> = new Set(["DRAINING", "OVERLOADED"]);

type Outcome = (HttpAnswer & { readonly problem: Problem }) | Unanswered;

/**
 * The body of a successful answer. Of several hubs the next one is asked where that cannot do a thing twice: what only
 * reads, what never got a connection, and what a hub says that it has not done. With `waitMs` also everything else, again
 * and again.
 */
export async function askHub<T>(hub: HubAddress, request: RestRequest): Promise<T> {
  const giveUpAt = performance.now() + (request.waitMs ?? 0);
  for (;;) {
    const url = hub.rotation.url;
    const outcome = await send(hub, url, request);
    if (!(outcome instanceof Unanswered) && outcome.status >= 200 && outcome.status <= 299) {
      hub.rotation.ready();
      return JSON.parse(outcome.text) as T;
    }
    if (!mayChange(outcome)) throw explain(hub, url, outcome);
    const askedMs = outcome instanceof Unanswered ? undefined : outcome.retryAfterMs;
    const pause = hub.rotation.next(askedMs);
    if (pause === 0 && isSafeElsewhere(request, outcome)) continue;
    const left = giveUpAt - performance.now();
    if (left <= 0) throw explain(hub, url, outcome);
    // Somebody waits for this command, so it looks more often than a fleet would.
    await sleep(Math.min(askedMs === undefined ? Math.min(pause, MOST_PAUSE_MS) : pause, left));
  }
}

const MOST_PAUSE_MS = 500;

/** The same request may have another outcome, later or elsewhere. */
function mayChange(outcome: Outcome): boolean {
  return outcome instanceof Unanswered || [429, 503, 504].includes(outcome.status);
}

function isSafeElsewhere({ method = "GET" }: RestRequest, outcome: Outcome): boolean {
  if (outcome instanceof Unanswered) return method === "GET" || !outcome.wasSent;
  return outcome.status !== 429 && (method === "GET" || NOT_DONE.has(outcome.problem.code ?? ""));
}

async function send(hub: HubAddress, address: string, request: RestRequest): Promise<Outcome> {
  const url = new URL(address + request.path);
  for (const [name, value] of Object.entries(request.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, value);
  }
  try {
    const answer = await exchange({
      url,
      method: request.method ?? "GET",
      headers: {
        accept: "application/json",
        "x-api-key": hub.key,
        ...(request.body === undefined ? {} : { "content-type": "application/json" }),
        ...request.headers,
      },
      body: request.body === undefined ? undefined : JSON.stringify(request.body),
      agent: hub.network.agentFor(address) as Agent | undefined,
    });
    return { ...answer, problem: problemOf(answer) };
  } catch (error) {
    if (error instanceof Unanswered) return error;
    throw error;
  }
}

function problemOf({ status, text }: HttpAnswer): Problem {
  if (status < 400) return {};
  try {
    return (JSON.parse(text) ?? {}) as Problem;
  } catch {
    return {};
  }
}

function explain(hub: HubAddress, url: string, outcome: Outcome): CliError {
  if (outcome instanceof Unanswered) return new CliError(unreachable(hub, url, outcome), EXIT.unreachable);
  const { status, problem } = outcome;
  if (status === 401) return new HubRefusal(badKey(hub), EXIT.noKey, problem);
  if (problem.code === undefined) {
    const hint = status === 400 && url.startsWith("http:") ? "; https:// instead of http://?" : "";
    return new CliError(`what answers at ${url} is not a State Hub (HTTP ${status})${hint}`, EXIT.unreachable);
  }
  const again = outcome.retryAfterMs === undefined ? "" : `; try again in ${Math.ceil(outcome.retryAfterMs / 1_000)} s`;
  const text = `the hub refused: ${printable(problem.detail ?? problem.code)} (${problem.code})${again}`;
  return new HubRefusal(text, EXIT.failed, problem);
}

function unreachable(hub: HubAddress, url: string, error: Unanswered): string {
  const others = hub.url.includes(",") ? `, the last of ${hub.url}` : "";
  const start = "Start one with `state-hub start`, or name another with STATE_HUB_URL.";
  return `no hub answers at ${url} (${printable(connectFailure(error, url))})${others}. ${start}`;
}

export function badKey(hub: HubAddress): string {
  return hub.isKeyMissing
    ? `the hub at ${hub.url} wants an API key and none is known for it: \`state-hub login ${hub.url}\`, or set STATE_HUB_KEY`
    : `the hub at ${hub.url} does not accept the API key: \`state-hub login ${hub.url}\` with another, or correct STATE_HUB_KEY`;
}
