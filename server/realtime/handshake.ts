import type { IncomingMessage } from "node:http";
import { type Refusal, refuse, refuseFields } from "../../shared/errors.ts";
import { HandshakeAuth } from "../../shared/messages/handshake.ts";
import {
  AGENTS_NAMESPACE,
  PROTOCOL_VERSION,
  type ProtocolRange,
  protocolFor,
  spokenBy,
} from "../../shared/protocol.ts";
import { parseInput } from "../../shared/validate.ts";
import { isWriter, NOT_AUTHORIZED, type Principal } from "../domain/access.ts";
import { isKeyParameter, keyFromHeaders } from "../domain/credentials.ts";
import type { KeyRing } from "../keys/key-ring.ts";

/** Who is at the other end of a connection. */
export interface Peer {
  /** Another one of the same rights after `auth:refresh`. */
  principal: Principal;
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

export const INVALID_KEY = refuse("UNAUTHENTICATED", "Invalid API Key; send X-Api-Key or Authorization: Bearer");

/** Checks a CONNECT: key, protocol version, the client's names for itself, whether its role may be here. */
export async function authenticate(
  handshake: Handshake,
  keys: Pick<KeyRing, "identify">,
  namespace: string,
  protocols: ProtocolRange = PROTOCOLS,
): Promise<Peer | Refusal> {
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
  const principal = await keys.identify(keyOfAuth ?? fromHeaders.key);
  if (principal === undefined) return INVALID_KEY;
  if (namespace === AGENTS_NAMESPACE && !isWriter(principal)) return NOT_AUTHORIZED;
  const protocol = protocolFor(asked, protocols);
  if (protocol === undefined) {
    const message = `is ${asked ?? "not said, so 1"}, this hub speaks ${rangeText(protocols)}`;
    return refuseFields([{ field: "protocol", message }]);
  }
  return { principal, protocol, agentId: agent_id, client };
}

function rangeText({ oldest, newest }: ProtocolRange): string {
  return oldest === newest ? String(newest) : `${oldest} and ${newest}`;
}
