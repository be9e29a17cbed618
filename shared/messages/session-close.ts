import { z } from "zod";
import { FinalStatus, Metadata } from "../entities.ts";
import { Id } from "../ids.ts";

/** Agent → hub: end the session; answered like `changes:publish`. */
export const SessionClose = z.object({
  session_id: Id,
  incarnation: z.int().min(1),
  op: z.int().min(1),
  status: FinalStatus,
  metadata: Metadata.optional(),
});
export type SessionClose = z.infer<typeof SessionClose>;
