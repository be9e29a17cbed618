import type { Actor } from "../entities.ts";
import type { ErrorCode } from "../errors.ts";
import type { JsonObject } from "../json.ts";
import type { Limits } from "../limits.ts";
import type { Lease } from "./lease.ts";

/** Hub → client, once, right after the connection is accepted. */
export interface Welcome {
  readonly protocol: number;
  readonly hub_id: string;
  readonly time: string;
  readonly role: "viewer" | "agent" | "operator";
  readonly limits: Limits;
  readonly lease: Lease;
  /** Work that stands still for so long shows as `stalled`; 0: never. */
  readonly stalled_after_ms: number;
  /** When the key or token of this connection expires; absent when it has no end. */
  readonly expires_at?: string;
}

/** Hub → client: its key or token is about to expire; `auth:refresh` keeps the connection. */
export interface Expiring {
  readonly expires_at: string;
  readonly expires_in_ms: number;
}

/** Hub → client: why the hub is about to end this connection. */
export interface Closing {
  readonly code: ErrorCode | "SLOW_CONSUMER" | "KEY_REVOKED" | "TOO_MANY_ERRORS";
  readonly message: string;
  readonly reconnect: boolean;
  readonly reconnect_after_ms?: number;
}

/** Hub → client: please move to another hub, after this pause. */
export interface Drain {
  readonly reconnect_after_ms: number;
}

/** Hub → agent: the session is no longer this connection's; do not reopen it by itself. */
export interface Fenced {
  readonly session_id: string;
  readonly incarnation: number;
  readonly reason: "taken" | "ended";
}

/** Hub → agent: someone else changed its session. */
export interface SessionChanged {
  readonly session_id: string;
  readonly version: number;
  readonly patch: JsonObject;
  readonly actor: Actor;
}
