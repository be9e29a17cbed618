import { randomUUID } from "node:crypto";
import type { RequestHandler, Response } from "express";
import { ID_PATTERN } from "../../shared/ids.ts";

/** Every response carries a request id, the same that a problem, the log and the change's entry name. */
export const assignRequestId: RequestHandler = (request, response, next) => {
  const id = chooseRequestId(request.headers["x-request-id"]);
  response.locals.requestId = id;
  response.set("X-Request-Id", id);
  next();
};

/** The client's own id if it is harmless in headers and logs, else a new one. */
export function chooseRequestId(given: string | string[] | undefined): string {
  return typeof given === "string" && ID_PATTERN.test(given) ? given : randomUUID();
}

export function requestIdOf(response: Response): string {
  return response.locals.requestId as string;
}
