import type { RequestHandler } from "express";
import { refuse } from "../../shared/errors.ts";
import { isKeyParameter } from "../domain/credentials.ts";
import { accepted, type Outcome, refused } from "../writer/outcome.ts";
import { invalid, sendProblem } from "./problem.ts";
import { requestIdOf } from "./request-id.ts";

const KEY_IN_URL = {
  ...refuse("VALIDATION", "a key does not belong in a URL; send it in X-Api-Key or Authorization: Bearer"),
  details: { reason: "KEY_IN_URL" },
};

/** Refuses a key in the URL before anything looks at the URL, the request's log line included. */
export const refuseKeyInUrl: RequestHandler = (request, response, next) => {
  for (const name of searchOf(request.url).keys()) {
    if (!isKeyParameter(name)) continue;
    sendProblem(response, KEY_IN_URL, requestIdOf(response));
    return;
  }
  next();
};

/** The parameters of a URL, each given once and without structure. */
export function parseQuery(url: string): Outcome<Readonly<Record<string, string>>> {
  const query: [string, string][] = [];
  const seen = new Set<string>();
  for (const [name, value] of searchOf(url)) {
    if (/[[\]]/.test(name)) return refused(invalid(name.slice(0, 40), "must be a plain parameter, without brackets"));
    if (seen.has(name)) return refused(invalid(name.slice(0, 40), "must be given once"));
    seen.add(name);
    query.push([name, value]);
  }
  return accepted(Object.fromEntries(query));
}

function searchOf(url: string): URLSearchParams {
  const start = url.indexOf("?");
  return new URLSearchParams(start < 0 ? "" : url.slice(start + 1));
}
