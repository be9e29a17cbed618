import { ERRORS, type ErrorBody, type ErrorCode } from "../shared/errors.ts";

/** Errors that arise in the client itself and never reach a hub. */
export type ClientErrorCode =
  /** The outbox holds as much as it may: wait for earlier publishes, report less often, or publish with `latest`. */
  | "OUTBOX_FULL"
  /** The handle was closed or disconnected before the hub answered. */
  | "CLOSED"
  /** The hub cannot be reached (it is tried again), or what answers is no hub. */
  | "UNREACHABLE"
  /** Another process has the spool open; every process needs one of its own. */
  | "SPOOL_LOCKED"
  /** The file is damaged, or no spool. It is left as it is for a person to look at. */
  | "SPOOL_UNREADABLE"
  /** The system refuses to keep what was published (disk full, rights): it was not taken. */
  | "SPOOL_FAILED";

const RETRYABLE_HERE: Readonly<Record<ClientErrorCode, boolean>> = {
  OUTBOX_FULL: true,
  CLOSED: false,
  UNREACHABLE: true,
  SPOOL_LOCKED: true,
  SPOOL_UNREADABLE: false,
  SPOOL_FAILED: true,
};

interface StateHubErrorOptions {
  /** Only for codes that this version does not know: the hub's own word. */
  readonly retryable?: boolean | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  readonly requestId?: string | undefined;
  readonly cause?: unknown;
}

/** Every error of this package. `code` says what to do (see the table of the protocol), `message` is for a person. */
export class StateHubError extends Error {
  override readonly name = "StateHubError";
  readonly code: ErrorCode | ClientErrorCode | (string & {});
  /** The same request may succeed later. On a publish the SDK has retried already. */
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  /** e.g. `{from, to, allowed}` of an `INVALID_TRANSITION`, `{errors}` of a `VALIDATION`. */
  readonly details: Readonly<Record<string, unknown>> | undefined;
  /** Stands in the hub's log too. */
  readonly requestId: string | undefined;

  constructor(code: string, message: string, options: StateHubErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = isRetryable(code) ?? options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs;
    this.details = options.details;
    this.requestId = options.requestId;
  }
}

function isRetryable(code: string): boolean | undefined {
  if (Object.hasOwn(ERRORS, code)) return ERRORS[code as ErrorCode].retryable;
  return Object.hasOwn(RETRYABLE_HERE, code) ? RETRYABLE_HERE[code as ClientErrorCode] : undefined;
}

/** The error part of a negative ack, as an exception. */
export function fromErrorBody(body: ErrorBody): StateHubError {
  return new StateHubError(body.code, body.message, {
    retryable: body.retryable,
    retryAfterMs: body.retry_after_ms,
    details: body.details,
    requestId: body.request_id,
  });
}

/** `INTERNAL` is not marked retryable, but on a request of ours it means "outcome unknown, ask again" (with a bound). */
export function isWorthRetrying(error: StateHubError): boolean {
  return error.retryable || error.code === "INTERNAL";
}
