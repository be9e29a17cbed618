import { type Agent, type IncomingMessage, request as plainRequest } from "node:http";
import { request as secureRequest } from "node:https";
import { text } from "node:stream/consumers";

export interface HttpAnswer {
  readonly status: number;
  /** Seconds of `Retry-After`, as milliseconds. */
  readonly retryAfterMs: number | undefined;
  readonly text: string;
}

/** No answer came. */
export class Unanswered extends Error {
  override readonly name = "Unanswered";
  /** False: the connection never stood, so the server cannot have done anything. */
  readonly wasSent: boolean;

  constructor(cause: Error, wasSent: boolean) {
    super(cause.message, { cause });
    this.wasSent = wasSent;
  }
}

interface HttpRequest {
  readonly url: URL;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  /** Undefined: one connection for this request, as Node makes it. */
  readonly agent: Agent | undefined;
}

/** Connection, TLS and a proxy's part of it. */
const CONNECT_TIMEOUT_MS = 10_000;
/** With the answer. */
const REQUEST_TIMEOUT_MS = 35_000;

/**
 * One request on a connection of its own. Node's `fetch` would do, but for two things: it knows no proxy and no authority
 * but those of the start of the process, and it does not tell whether anything was sent.
 *
 * @throws Unanswered
 */
export async function exchange(asked: HttpRequest): Promise<HttpAnswer> {
  const { url, method, headers, body, agent } = asked;
  const isSecure = url.protocol === "https:";
  const request = (isSecure ? secureRequest : plainRequest)(url, { method, headers, agent: agent ?? false });
  const timers = new Set<NodeJS.Timeout>();
  let wasSent = false;
  const giveUpAfter = (ms: number) => {
    const timer = setTimeout(() => request.destroy(new Error("no answer in time")), ms);
    timers.add(timer);
    return timer;
  };
  giveUpAfter(REQUEST_TIMEOUT_MS);
  const connecting = giveUpAfter(CONNECT_TIMEOUT_MS);
  request.once("socket", (socket) => {
    const stands = () => {
      wasSent = true;
      clearTimeout(connecting);
    };
    if (isSecure) socket.once("secureConnect", stands);
    else if (socket.connecting) socket.once("connect", stands);
    else stands();
  });
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once("response", resolve);
      request.once("error", reject);
      request.end(body);
    });
    return {
      status: response.statusCode ?? 0,
      retryAfterMs: milliseconds(response.headers["retry-after"]),
      text: await text(response),
    };
  } catch (error) {
    throw new Unanswered(error as Error, wasSent);
  } finally {
    for (const timer of timers) clearTimeout(timer);
  }
}

function milliseconds(retryAfter: string | undefined): number | undefined {
  return retryAfter !== undefined && /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) * 1_000 : undefined;
}
