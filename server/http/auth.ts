import type { Request, RequestHandler, Response } from "express";
import type { Principal } from "../domain/access.ts";
import { partyOf } from "../domain/client-address.ts";
import { keyFromHeaders } from "../domain/credentials.ts";
import type { HttpDeps } from "./deps.ts";
import { AMBIGUOUS_KEY, sendProblem, UNAUTHENTICATED } from "./problem.ts";
import { requestIdOf } from "./request-id.ts";

type AuthDeps = Pick<HttpDeps, "keys" | "rates">;

/** Lets only requests with a known key pass; no key and a wrong one get the same answer. */
export function authenticate(deps: AuthDeps): RequestHandler {
  return async (request, response, next) => {
    const answer = await judge(deps, request);
    if ("code" in answer) {
      sendProblem(response, answer, requestIdOf(response));
      return;
    }
    response.locals.principal = answer;
    next();
  };
}

async function judge(deps: AuthDeps, request: Request) {
  const blocked = deps.rates.address(addressOf(request));
  if (blocked !== undefined) return blocked;
  const given = keyFromHeaders(request.headers);
  if ("ambiguous" in given) return AMBIGUOUS_KEY;
  const principal = await identify(deps, request, given.key);
  return principal === undefined ? UNAUTHENTICATED : (deps.rates.request(principal.keyId) ?? principal);
}

/** Whose key it is, where one is welcome and none is asked for; undefined for nobody. */
export async function principalIfAny(deps: AuthDeps, request: Request): Promise<Principal | undefined> {
  const given = keyFromHeaders(request.headers);
  if ("ambiguous" in given) return undefined;
  if (given.key !== undefined && deps.rates.address(addressOf(request)) !== undefined) return undefined;
  return await identify(deps, request, given.key);
}

/** A request without a key is refused, and is no guess: a probe that was set up wrongly must not block its address. */
async function identify({ keys, rates }: AuthDeps, request: Request, key: string | undefined) {
  const principal = await keys.identify(key);
  if (principal === undefined && key !== undefined) rates.failedKeys.onFailure(addressOf(request));
  return principal;
}

function addressOf({ ip }: Request): string {
  return partyOf(ip ?? "");
}

export function principalOf(response: Response): Principal {
  return response.locals.principal as Principal;
}
