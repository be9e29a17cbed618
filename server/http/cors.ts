import type { RequestHandler } from "express";
import type { Origins } from "../domain/origins.ts";
import { FORBIDDEN_ORIGIN, sendProblem } from "./problem.ts";
import { requestIdOf } from "./request-id.ts";

const METHODS = "GET, POST, PUT, PATCH, DELETE";
const REQUEST_HEADERS = "Authorization, Content-Type, If-Match, If-None-Match, Last-Event-ID, X-Api-Key, X-Request-Id";
const RESPONSE_HEADERS = "ETag, Location, Retry-After, X-Request-Id";
/** Seconds for which a browser need not ask again. */
const MAX_AGE_S = 600;

/**
 * Headers for pages of the listed origins (or all, by `*`); keys travel in headers, never in cookies, so credentials
 * are not allowed. Pages of other origins get none and their browser keeps the answer from them; pages of the hub's
 * own origin need none. A preflight is answered before any key is asked for: browsers send none with it.
 */
export function cors(origins: Origins): RequestHandler {
  return (request, response, next) => {
    const { origin } = request.headers;
    const isNamed = origins.names(origin);
    response.vary("Origin");
    if (isNamed) {
      response.set({ "Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": RESPONSE_HEADERS });
    }
    const isPreflight = request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
    if (!isPreflight) {
      next();
      return;
    }
    if (isNamed) {
      response.set({
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": REQUEST_HEADERS,
        "Access-Control-Max-Age": String(MAX_AGE_S),
      });
    }
    response.status(204).end();
  };
}

/** Without keys a browser would act for any page: what does not come from here is refused, not only kept from reading. */
export function refuseStrangers(origins: Origins): RequestHandler {
  return (request, response, next) => {
    if (origins.admits(request.headers.origin, request.headers.host)) next();
    else sendProblem(response, FORBIDDEN_ORIGIN, requestIdOf(response));
  };
}
