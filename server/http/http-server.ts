import { createServer, type RequestListener, type Server } from "node:http";
import { pause } from "../timing.ts";

const TIMEOUTS = {
  /** A client that needs longer for its headers, or for the whole request, gets 408 and is closed. */
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  /** How often Node looks for such clients; its own default of 30 s would make the bounds above meaningless. */
  connectionsCheckingInterval: 2_000,
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

/** The server under REST and WebSocket, bounded against clients that send slowly or without end. */
export function createHttpServer(
  app: RequestListener,
  timeouts: { readonly [K in keyof typeof TIMEOUTS]: number } = TIMEOUTS,
): Server {
  return createServer({ ...timeouts, maxHeaderSize: MAX_HEADER_BYTES }, app);
}
