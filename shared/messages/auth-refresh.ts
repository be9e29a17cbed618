import { z } from "zod";
import { Timestamp } from "../entities.ts";
import { Credential } from "./handshake.ts";

/** `auth:refresh`: another key or token for this connection, in place of one that is about to expire. */
export const AuthRefresh = z.object({ key: Credential });
export type AuthRefresh = z.infer<typeof AuthRefresh>;

/** Answer: until when the new one holds; absent when it has no end. */
export const AuthRefreshed = z.object({ expires_at: Timestamp.exactOptional() });
export type AuthRefreshed = z.infer<typeof AuthRefreshed>;
