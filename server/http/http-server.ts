import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { pause } from "../timing.ts";
import { answerBrokenRequest } from "./broken-request.ts";

const TIMEOUTS = {
  /** A client that needs longer for its headers, or for the whole request, gets 408 and is closed. */
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  /** How often Node looks for such clients; its own default of 30 s would make the bounds above meaningless. */
  connectionsCheckingInterval: 2_000,
  /** A connection on which nothing moves, its answer unread, is cut. To be longer than any answer takes to come. */
  idleTimeout: 60_000,
} as const;

/** More than this in headers is 431. */
const MAX_HEADER_BYTES = 16 * 1024;

/** Takes no more connections, lets requests under way have their answers for a while, and ends what is left. */
export async function closeHttpServer(http: Server, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    http.close(() => resolve());
  });
  await Promise.race([closed, pause(graceMs)]);
  http.closeAllConnections();
  await closed;
}

/** The server under REST and WebSocket, bounded against clients that send or read slowly, or send without end. */
export function createHttpServer(
  app: RequestListener,
  timeouts: Partial<{ readonly [K in keyof typeof TIMEOUTS]: number }> = {},
): Server {
  const { idleTimeout, ...options } = { ...TIMEOUTS, ...timeouts };
  const server = createServer({ ...options, maxHeaderSize: MAX_HEADER_BYTES, shouldUpgradeCallback: isWebSocket }, app);
  // WebSockets are out of it from their upgrade on: the gateway has its own bounds for them.
  server.timeout = idleTimeout;
  return server.on("clientError", answerBrokenRequest);
}

/** Everything else that a client would rather speak, HTTP/2 above all, is an offer that may be left: it is served as it asks. */
function isWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === "websocket";
}
