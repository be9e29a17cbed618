import { z } from "zod";
import { Id } from "../ids.ts";

/** An API key, or a JWT in place of one. */
export const Credential = z.string().max(3_072);

/** `auth` of a Socket.IO CONNECT; the key may come in `X-Api-Key` or `Authorization: Bearer` instead. */
export const HandshakeAuth = z.object({
  key: Credential.optional(),
  protocol: z.int().optional(),
  agent_id: Id.optional(),
  client: z.string().max(200).optional(),
});
export type HandshakeAuth = z.infer<typeof HandshakeAuth>;
