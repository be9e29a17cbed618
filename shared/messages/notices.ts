import { z } from "zod";
import { Actor, Metadata, Timestamp } from "../entities.ts";
import { ErrorCodeWord } from "../error-schemas.ts";
import { Id } from "../ids.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import { Lease } from "./lease.ts";

const Milliseconds = z.int().min(0);

const LimitsInForce = z.object(
  Object.fromEntries(Object.keys(DEFAULT_LIMITS).map((name) => [name, z.int().min(0)])) as Record<
    keyof Limits,
    z.ZodInt
  >,
);

/** Hub → client, once, right after the connection is accepted. */
export const Welcome = z.object({
  protocol: z.int().min(1),
  hub_id: z.string(),
  time: Timestamp,
  role: z.enum(["viewer", "agent", "operator"]),
  limits: LimitsInForce,
  lease: Lease,
  /** Work that stands still for so long shows as `stalled`; 0: never. */
  stalled_after_ms: Milliseconds,
  /** When the key or token of this connection expires; absent when it has no end. */
  expires_at: Timestamp.exactOptional(),
});
export type Welcome = z.infer<typeof Welcome>;

/** Hub → client: its key or token is about to expire; `auth:refresh` keeps the connection. */
export const Expiring = z.object({ expires_at: Timestamp, expires_in_ms: Milliseconds });
export type Expiring = z.infer<typeof Expiring>;

/** Hub → client: why the hub is about to end this connection. */
export const Closing = z.object({
  code: z.enum([...ErrorCodeWord.options, "SLOW_CONSUMER", "KEY_REVOKED", "TOO_MANY_ERRORS"]),
  message: z.string(),
  reconnect: z.boolean(),
  reconnect_after_ms: Milliseconds.exactOptional(),
});
export type Closing = z.infer<typeof Closing>;

/** Hub → client: please move to another hub, after this pause. */
export const Drain = z.object({ reconnect_after_ms: Milliseconds });
export type Drain = z.infer<typeof Drain>;

/** Hub → agent: the session is no longer this connection's; do not reopen it by itself. */
export const Fenced = z.object({
  session_id: Id,
  incarnation: z.int().min(0),
  reason: z.enum(["taken", "ended"]),
});
export type Fenced = z.infer<typeof Fenced>;

/** Hub → agent: someone else changed its session. */
export const SessionChanged = z.object({ session_id: Id, version: z.int().min(1), patch: Metadata, actor: Actor });
export type SessionChanged = z.infer<typeof SessionChanged>;
