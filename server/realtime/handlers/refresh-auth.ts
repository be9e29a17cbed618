import type { AuthRefresh, AuthRefreshed } from "../../../shared/messages/auth-refresh.ts";
import { NOT_AUTHORIZED } from "../../domain/access.ts";
import type { KeyRing } from "../../keys/key-ring.ts";
import { accepted, type Outcome, refused } from "../../writer/outcome.ts";
import { INVALID_KEY, type Peer } from "../handshake.ts";

/**
 * `auth:refresh`: the connection goes on under another key or token. It has to give the same rights, because rooms and
 * sessions are open under those; who has others connects anew.
 */
export async function refreshAuth(
  keys: Pick<KeyRing, "identify" | "expiryOf">,
  { peer }: { readonly peer: Peer },
  { key }: AuthRefresh,
): Promise<Outcome<AuthRefreshed>> {
  const next = await keys.identify(key);
  if (next === undefined) return refused(INVALID_KEY);
  const { role, scope } = peer.principal;
  if (next.role !== role || !next.scope.equals(scope)) return refused(NOT_AUTHORIZED);
  peer.principal = next;
  const expiresAt = keys.expiryOf(next);
  return accepted(expiresAt === undefined ? {} : { expires_at: new Date(expiresAt).toISOString() });
}
