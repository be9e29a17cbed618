import type { IncomingMessage } from "node:http";
import { type Refusal, refuse, refuseFields } from "../../shared/errors.ts";
import { HandshakeAuth } from "../../shared/messages/handshake.ts";
import { PROTOCOL_VERSION, SUPPORTED_PROTOCOLS } from "../../shared/protocol.ts";
import { parseInput } from "../../shared/validate.ts";
import { type Identity, isKeyParameter, type Keys, keyFromHeaders } from "../domain/access.ts";

/** Who is at the other end of a connection. */
export interface Peer {
  readonly identity: Identity;
  readonly agentId: string | undefined;
  readonly client: string | undefined;
}

interface Handshake {
  readonly auth: unknown;
  readonly headers: IncomingMessage["headers"];
  readonly query: Readonly<Record<string, unknown>>;
}

/** Checks a CONNECT: key, protocol version, the client's names for itself. */
export function authenticate(handshake: Handshake, keys: Keys): Peer | Refusal {
  if (Object.keys(handshake.query).some(isKeyParameter)) {
    return refuse("VALIDATION", "send the key in auth or a header, never in the URL", { reason: "KEY_IN_URL" });
  }
  const parsed = parseInput(HandshakeAuth, handshake.auth ?? {});
  if (!parsed.ok) return parsed.refusal;
  const { key: keyOfAuth, protocol = PROTOCOL_VERSION, agent_id, client } = parsed.value;
  const fromHeaders = keyFromHeaders(handshake.headers);
  const ambiguous =
    "ambiguous" in fromHeaders ||
    (keyOfAuth !== undefined && fromHeaders.key !== undefined && fromHeaders.key !== keyOfAuth);
  if (ambiguous) return refuse("VALIDATION", "two different keys were sent", { reason: "AMBIGUOUS_KEY" });
  const identity = keys.identify(keyOfAuth ?? fromHeaders.key);
  if (identity === undefined) {
    return refuse("UNAUTHENTICATED", "Invalid API Key; send X-Api-Key or Authorization: Bearer");
  }
  if (!SUPPORTED_PROTOCOLS.includes(protocol)) {
    const message = `is ${protocol}, this hub speaks ${SUPPORTED_PROTOCOLS.join(", ")}`;
    return refuseFields([{ field: "protocol", message }]);
  }
  return { identity, agentId: agent_id, client };
}
