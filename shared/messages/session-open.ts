import { z } from "zod";
import { Metadata, Session, SessionStatus } from "../entities.ts";
import { DEFAULT_PROJECT_ID, Id } from "../ids.ts";
import { Lease } from "./lease.ts";

/** Agent → hub: create a session, or come back to it. On an existing one everything but the ids and the proof is ignored. */
export const SessionOpen = z.object({
  session_id: Id,
  project_id: Id.default(DEFAULT_PROJECT_ID),
  machine_id: Id,
  status: SessionStatus.default("ACTIVE"),
  environment: z.string().min(1).max(128).optional(),
  metadata: Metadata.optional(),
  parent_session_id: Id.optional(),
  resumed_from: Id.optional(),
  /** Incarnation and token of an earlier open: proof of being the same process. */
  incarnation: z.int().min(0).optional(),
  token: z.string().max(256).optional(),
  /** Take the session although another agent's lease is valid. */
  takeover: z.boolean().default(false),
});
export type SessionOpen = z.infer<typeof SessionOpen>;
export type SessionOpenInput = z.input<typeof SessionOpen>;

export const SessionOpened = z.object({
  session: Session,
  created: z.boolean(),
  resumed: z.boolean(),
  incarnation: z.int().min(1),
  token: z.string(),
  /** The last op applied in this incarnation, 0 for none: the next publish uses a greater one. */
  last_op: z.int().min(0),
  epoch: z.string(),
  seq: z.int().min(1),
  lease: Lease,
});
export type SessionOpened = z.infer<typeof SessionOpened>;
