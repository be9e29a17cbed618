/**
 * Codes of what goes wrong before a hub has answered, from Node and OpenSSL. Browsers tell programs nothing, so there it
 * stays at "websocket error".
 */
const UNTRUSTED: ReadonlySet<string> = new Set([
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "CERT_UNTRUSTED",
]);
const NOT_TLS: ReadonlySet<string> = new Set([
  "ERR_SSL_WRONG_VERSION_NUMBER",
  "ERR_SSL_PACKET_LENGTH_TOO_LONG",
  "ERR_SSL_UNKNOWN_PROTOCOL",
  "ERR_SSL_HTTP_REQUEST",
  "EPROTO",
]);
/** A server that waits for TLS closes the connection, sends an alert, which is no HTTP, or answers 400 in clear. */
const PERHAPS_TLS = /^(ECONNRESET|HPE_INVALID_\w+|Unexpected server response: 400)$/;

/** Marks an error whose message says all that there is to say (a proxy). */
export const TELLS_ITSELF = "ERR_STATE_HUB_PROXY";

/** Why no connection to the hub at `url` came about, as a part of a sentence for a person. */
export function connectFailure(error: unknown, url: string): string {
  const { code, message } = rootOf(error);
  const isSecure = /^(https|wss):/i.test(url);
  if (code === TELLS_ITSELF) return message;
  if (UNTRUSTED.has(code)) {
    return (
      `its certificate is signed by an authority that is not trusted here, ${code}: name the authority's PEM file in ` +
      "STATE_HUB_CA (state-hub, nodeNetwork) or NODE_EXTRA_CA_CERTS (any Node program)"
    );
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return `its certificate is for another name, ${code}: ${message}`;
  if (code === "CERT_HAS_EXPIRED") return `its certificate has expired, ${code}`;
  if (isSecure && NOT_TLS.has(code))
    return `what listens there does not speak TLS, ${code}: http:// instead of https://?`;
  if (!isSecure && (PERHAPS_TLS.test(code) || PERHAPS_TLS.test(message))) {
    return `what listens there does not speak plain HTTP, ${code || message}: https:// instead of http://?`;
  }
  return code || message;
}

/** The error that began it: Socket.IO hands it on as the `error` of the `description`, fetch and others as `cause`. */
function rootOf(error: unknown): { readonly code: string; readonly message: string } {
  let root = error as { code?: unknown; message?: unknown; cause?: unknown; description?: { error?: unknown } };
  for (let depth = 0; depth < 5; depth++) {
    const inner = root.description?.error ?? root.cause;
    if (typeof inner !== "object" || inner === null) break;
    root = inner;
  }
  return { code: typeof root.code === "string" ? root.code : "", message: String(root.message ?? "") };
}
