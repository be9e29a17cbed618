import { z } from "zod";
import { Id } from "../ids.ts";

/** `auth` of a Socket.IO CONNECT; the key may come in `X-Api-Key` or `Authorization: Bearer` instead. */
export const HandshakeAuth = z.object({
  key: z.string().max(256).optional(),
  protocol: z.int().optional(),
  agent_id: Id.optional(),
  client: z.string().max(200).optional(),
});
export type HandshakeAuth = z.infer<typeof HandshakeAuth>;
