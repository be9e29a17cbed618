import type { RequestHandler, Response } from "express";
import { type Identity, type Keys, keyFromHeaders } from "../domain/access.ts";
import { AMBIGUOUS_KEY, sendProblem, UNAUTHENTICATED } from "./problem.ts";
import { requestIdOf } from "./request-id.ts";

/** Lets only requests with a known key pass; no key and a wrong one get the same answer. */
export function authenticate(keys: Keys): RequestHandler {
  return (request, response, next) => {
    const given = keyFromHeaders(request.headers);
    if ("ambiguous" in given) {
      sendProblem(response, AMBIGUOUS_KEY, requestIdOf(response));
      return;
    }
    const identity = keys.identify(given.key);
    if (identity === undefined) {
      sendProblem(response, UNAUTHENTICATED, requestIdOf(response));
      return;
    }
    response.locals.identity = identity;
    next();
  };
}

export function identityOf(response: Response): Identity {
  return response.locals.identity as Identity;
}
