/** What a client should do on an error: the whole reaction is readable from the code. */
type Action = "fix" | "retry" | "authenticate" | "reopen" | "give up";

interface ErrorRow {
  /** HTTP status of the same refusal over REST. */
  readonly status: number;
  readonly retryable: boolean;
  readonly action: Action;
  /** `title` of the problem document. */
  readonly title: string;
}

/** Every error code of protocol 1. Codes double as metric labels, so they never change their meaning. */
export const ERRORS = {
  VALIDATION: { status: 400, retryable: false, action: "fix", title: "The request is malformed" },
  UNAUTHENTICATED: { status: 401, retryable: false, action: "authenticate", title: "No valid API key" },
  FORBIDDEN: { status: 403, retryable: false, action: "authenticate", title: "Not authorized" },
  NOT_FOUND: { status: 404, retryable: false, action: "reopen", title: "Not found" },
  ALREADY_EXISTS: { status: 409, retryable: false, action: "fix", title: "Exists already with other content" },
  ALREADY_OWNED: { status: 409, retryable: false, action: "give up", title: "Another agent owns the session" },
  AMBIGUOUS: { status: 409, retryable: false, action: "fix", title: "The id exists in several projects" },
  INVALID_TRANSITION: { status: 409, retryable: false, action: "fix", title: "The status may not change like this" },
  FENCED: { status: 409, retryable: false, action: "give up", title: "A newer agent owns the session" },
  LIMIT_EXCEEDED: { status: 409, retryable: false, action: "fix", title: "A limit is reached" },
  GONE: { status: 410, retryable: false, action: "reopen", title: "No longer there" },
  VERSION_CONFLICT: { status: 412, retryable: false, action: "fix", title: "The entity has changed" },
  PAYLOAD_TOO_LARGE: { status: 413, retryable: false, action: "fix", title: "Too large" },
  RATE_LIMITED: { status: 429, retryable: true, action: "retry", title: "Too many requests" },
  INTERNAL: { status: 500, retryable: false, action: "retry", title: "Internal error" },
  OVERLOADED: { status: 503, retryable: true, action: "retry", title: "The hub is overloaded" },
  UNAVAILABLE: { status: 503, retryable: true, action: "retry", title: "The database does not answer" },
  DRAINING: { status: 503, retryable: true, action: "retry", title: "The hub is shutting down" },
  TIMEOUT: { status: 504, retryable: true, action: "retry", title: "Timed out" },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/** A known "no": a value that handlers return; the edges turn it into an ack or a problem document. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retry_after_ms?: number;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** One field's complaint inside `details.errors` of a `VALIDATION`. */
export interface FieldError {
  readonly field: string;
  readonly message: string;
}

export function refuse(code: ErrorCode, message: string, details?: Readonly<Record<string, unknown>>): Refusal {
  return details === undefined ? { code, message } : { code, message, details };
}

/** `VALIDATION` with its fields; the message names the first one, e.g. `field session_id is required`. */
export function refuseFields(errors: readonly FieldError[]): Refusal {
  const first = errors[0];
  const message =
    first === undefined ? "malformed" : first.field === "" ? first.message : `field ${first.field} ${first.message}`;
  return { code: "VALIDATION", message, details: { errors } };
}

/** Error part of a negative ack, as it stands on the wire. */
export interface ErrorBody {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly retry_after_ms?: number;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly request_id: string;
}

export function errorBody(refusal: Refusal, requestId: string): ErrorBody {
  return {
    code: refusal.code,
    message: refusal.message,
    retryable: ERRORS[refusal.code].retryable,
    ...(refusal.retry_after_ms === undefined ? {} : { retry_after_ms: refusal.retry_after_ms }),
    ...(refusal.details === undefined ? {} : { details: refusal.details }),
    request_id: requestId,
  };
}
