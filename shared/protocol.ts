/** What a client speaks that does not say; clients were never obliged to. */
const UNSAID_PROTOCOL = 1;

/**
 * Version of the wire protocol (docs/PROTOCOL.md). Additive changes keep the number.
 *
 * 1 — first version.
 */
export const PROTOCOL_VERSION = 1;

/** Versions of the protocol, both ends included. */
export interface ProtocolRange {
  readonly oldest: number;
  readonly newest: number;
}

/** What a hub of version `newest` speaks: that and the one before. There was none before 1. */
export function spokenBy(newest: number): ProtocolRange {
  return { oldest: Math.max(1, newest - 1), newest };
}

/** The version to speak with a client that asks for one, or for none; undefined when it is out of range. */
export function protocolFor(asked: number | undefined, { oldest, newest }: ProtocolRange): number | undefined {
  const protocol = asked ?? UNSAID_PROTOCOL;
  return protocol >= oldest && protocol <= newest ? protocol : undefined;
}

export const AGENTS_NAMESPACE = "/agents";
export const VIEWERS_NAMESPACE = "/viewers";
