import type { RequestHandler, Response } from "express";
import type { Principal } from "../domain/access.ts";
import { keyFromHeaders } from "../domain/credentials.ts";
import type { KeyRing } from "../keys/key-ring.ts";
import { AMBIGUOUS_KEY, sendProblem, UNAUTHENTICATED } from "./problem.ts";
import { requestIdOf } from "./request-id.ts";

/** Lets only requests with a known key pass; no key and a wrong one get the same answer. */
export function authenticate(keys: Pick<KeyRing, "identify">): RequestHandler {
  return async (request, response, next) => {
    const given = keyFromHeaders(request.headers);
    if ("ambiguous" in given) {
      sendProblem(response, AMBIGUOUS_KEY, requestIdOf(response));
      return;
    }
    const principal = await keys.identify(given.key);
    if (principal === undefined) {
      sendProblem(response, UNAUTHENTICATED, requestIdOf(response));
      return;
    }
    response.locals.principal = principal;
    next();
  };
}

export function principalOf(response: Response): Principal {
  return response.locals.principal as Principal;
}
