/**
 * Whether a browser page of this origin may connect. Programs send no Origin and are let in; the page's own origin
 * always is; others only by the list. CORS headers alone would not keep a foreign page from opening a WebSocket.
 */
export function isAllowedOrigin(
  origin: string | undefined,
  host: string | undefined,
  allowed: readonly string[],
): boolean {
  if (origin === undefined) return true;
  if (allowed.includes("*") || allowed.includes(origin)) return true;
  try {
    return host !== undefined && new URL(origin).host === host;
  } catch {
    return false;
  }
}
