import type { RequestHandler } from "express";

const METHODS = "GET, HEAD, POST, PATCH";
const REQUEST_HEADERS = "Authorization, Content-Type, If-Match, If-None-Match, X-Api-Key, X-Request-Id";
const RESPONSE_HEADERS = "ETag, Location, Retry-After, X-Request-Id";
/** Seconds for which a browser need not ask again. */
const MAX_AGE_S = 600;

/**
 * Headers for pages of the listed origins (or all, by `*`); keys travel in headers, never in cookies, so credentials
 * are not allowed. Pages of other origins get none and their browser keeps the answer from them; pages of the hub's
 * own origin need none. A preflight is answered before any key is asked for: browsers send none with it.
 */
export function cors(allowOrigins: readonly string[]): RequestHandler {
  return (request, response, next) => {
    const { origin } = request.headers;
    const isAllowed = origin !== undefined && (allowOrigins.includes("*") || allowOrigins.includes(origin));
    response.vary("Origin");
    if (isAllowed) {
      response.set({ "Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": RESPONSE_HEADERS });
    }
    const isPreflight = request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
    if (!isPreflight) {
      next();
      return;
    }
    if (isAllowed) {
      response.set({
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": REQUEST_HEADERS,
        "Access-Control-Max-Age": String(MAX_AGE_S),
      });
    }
    response.status(204).end();
  };
}
