/**
 * Version of the wire protocol (docs/PROTOCOL.md). Additive changes keep the number.
 *
 * 1 — first version.
 */
export const PROTOCOL_VERSION = 1;

/** Versions that this hub and this client speak. */
export const SUPPORTED_PROTOCOLS: readonly number[] = [1];

export const AGENTS_NAMESPACE = "/agents";
export const VIEWERS_NAMESPACE = "/viewers";
