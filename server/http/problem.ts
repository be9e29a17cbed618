import type { Response } from "express";
import type { Problem } from "../../shared/error-schemas.ts";
import { ERRORS, type FieldError, type Refusal, refuse, refuseFields } from "../../shared/errors.ts";
import type { DatabaseTrouble } from "../queries/ports.ts";

/** A refusal that HTTP has a status of its own for, where the code says less. */
export interface HttpRefusal extends Refusal {
  readonly http?: {
    readonly status: number;
    readonly title: string;
    readonly headers?: Readonly<Record<string, string>>;
  };
}

export const refuseMethod = (method: string, allow: string): HttpRefusal => ({
  ...refuse("VALIDATION", `method ${method} is not allowed here; allowed: ${allow}`),
  http: { status: 405, title: "Method not allowed", headers: { Allow: allow } },
});

export const refuseMediaType = (message: string): HttpRefusal => ({
  ...refuse("VALIDATION", message),
  http: { status: 415, title: "Unsupported media type" },
});

/** The connection ends with it: the rest of the body may still be on its way. */
export const refuseSize = (maxBytes: number): HttpRefusal => ({
  ...refuse("PAYLOAD_TOO_LARGE", `the body is larger than ${maxBytes} bytes`, { limit: maxBytes }),
  http: { status: 413, title: ERRORS.PAYLOAD_TOO_LARGE.title, headers: { Connection: "close" } },
});

export const UNAUTHENTICATED: HttpRefusal = {
  ...refuse("UNAUTHENTICATED", "Invalid API Key; send X-Api-Key or Authorization: Bearer"),
  http: {
    status: 401,
    title: ERRORS.UNAUTHENTICATED.title,
    headers: { "WWW-Authenticate": 'Bearer realm="State Hub"' },
  },
};

export const FORBIDDEN_ORIGIN: Refusal = refuse(
  "FORBIDDEN",
  "without API keys the hub serves this machine's own pages and programs only; set API_KEYS, or CORS_ALLOW_ORIGINS",
);

export const NOT_FOUND: Refusal = refuse("NOT_FOUND", "there is nothing at this path");

export const AMBIGUOUS_KEY: Refusal = {
  ...refuse("VALIDATION", "X-Api-Key and Authorization carry different keys; send one"),
  details: { reason: "AMBIGUOUS_KEY" },
};

export const TIMEOUT: Refusal = {
  ...refuse("TIMEOUT", "no answer in time; a change may still be made, the same request tells"),
  retry_after_ms: 1_000,
};

export const INTERNAL: Refusal = refuse("INTERNAL", "internal error; the hub's log has it under the request id");

export const OWN_CONNECTION: Refusal = refuse(
  "VALIDATION",
  "a stream of events takes a connection of its own; send the request when the one before it is answered",
);

/** A body or header that is wrong as a whole, or at a field. */
export const invalid = (field: string, message: string): Refusal => refuseFields([{ field, message }]);

export function refuseTrouble(trouble: Exclude<DatabaseTrouble, undefined>): Refusal {
  return trouble === "away"
    ? { ...refuse("UNAVAILABLE", "the database does not answer; try again"), retry_after_ms: 1_000 }
    : {
        ...refuse("TIMEOUT", "the query takes too long; narrow it by project_id or created_from"),
        retry_after_ms: 1_000,
      };
}

export function problemOf(refusal: HttpRefusal, requestId: string): Problem {
  const row = ERRORS[refusal.code];
  const { details } = refusal;
  const errors = details?.errors as readonly FieldError[] | undefined;
  return {
    type: `urn:state-hub:error:${refusal.code}`,
    title: refusal.http?.title ?? row.title,
    status: refusal.http?.status ?? row.status,
    detail: refusal.code === "VALIDATION" ? `ValidationError: ${refusal.message}` : refusal.message,
    code: refusal.code,
    request_id: requestId,
    ...(errors === undefined ? {} : { errors }),
    ...(details === undefined ? {} : { details }),
  };
}

/** Answers with a problem document, unless an answer has begun already. */
export function sendProblem(response: Response, refusal: HttpRefusal, requestId: string): void {
  if (response.headersSent) return;
  const problem = problemOf(refusal, requestId);
  response.status(problem.status).set(refusal.http?.headers ?? {});
  if (refusal.retry_after_ms !== undefined) {
    response.set("Retry-After", String(Math.ceil(refusal.retry_after_ms / 1_000)));
  }
  response.type("application/problem+json").send(JSON.stringify(problem));
}
