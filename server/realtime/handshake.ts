import type { IncomingMessage } from "node:http";
import { type Refusal, refuse, refuseFields } from "../../shared/errors.ts";
import { HandshakeAuth } from "../../shared/messages/handshake.ts";
import { PROTOCOL_VERSION, type ProtocolRange, protocolFor, spokenBy } from "../../shared/protocol.ts";
import { parseInput } from "../../shared/validate.ts";
import { type Identity, isKeyParameter, type Keys, keyFromHeaders } from "../domain/access.ts";

/** Who is at the other end of a connection. */
export interface Peer {
  readonly identity: Identity;
  /** The version of the protocol that both speak. */
  readonly protocol: number;
  readonly agentId: string | undefined;
  readonly client: string | undefined;
}

const PROTOCOLS = spokenBy(PROTOCOL_VERSION);

interface Handshake {
  readonly auth: unknown;
  readonly headers: IncomingMessage["headers"];
  readonly query: Readonly<Record<string, unknown>>;
}

/** Checks a CONNECT: key, protocol version, the client's names for itself. */
export function authenticate(handshake: Handshake, keys: Keys, protocols: ProtocolRange = PROTOCOLS): Peer | Refusal {
  if (Object.keys(handshake.query).some(isKeyParameter)) {
    return refuse("VALIDATION", "send the key in auth or a header, never in the URL", { reason: "KEY_IN_URL" });
  }
  const parsed = parseInput(HandshakeAuth, handshake.auth ?? {});
  if (!parsed.ok) return parsed.refusal;
  const { key: keyOfAuth, protocol: asked, agent_id, client } = parsed.value;
  const fromHeaders = keyFromHeaders(handshake.headers);
  const ambiguous =
    "ambiguous" in fromHeaders ||
    (keyOfAuth !== undefined && fromHeaders.key !== undefined && fromHeaders.key !== keyOfAuth);
  if (ambiguous) return refuse("VALIDATION", "two different keys were sent", { reason: "AMBIGUOUS_KEY" });
  const identity = keys.identify(keyOfAuth ?? fromHeaders.key);
  if (identity === undefined) {
    return refuse("UNAUTHENTICATED", "Invalid API Key; send X-Api-Key or Authorization: Bearer");
  }
  const protocol = protocolFor(asked, protocols);
  if (protocol === undefined) {
    const message = `is ${asked ?? "not said, so 1"}, this hub speaks ${rangeText(protocols)}`;
    return refuseFields([{ field: "protocol", message }]);
  }
  return { identity, protocol, agentId: agent_id, client };
}

function rangeText({ oldest, newest }: ProtocolRange): string {
  return oldest === newest ? String(newest) : `${oldest} and ${newest}`;
}
