import type { Closing, Expiring } from "../../shared/messages/notices.ts";
import type { BOUNDS } from "../bounds.ts";
import type { Principal } from "../domain/access.ts";
import type { KeyEnd, KeyRing } from "../keys/key-ring.ts";
import type { Clock, Logger } from "../ports.ts";
import type { Peer } from "./handshake.ts";

/** An accepted connection, as far as its key goes. */
interface Watched {
  readonly peer: Peer;
  expiring(message: Expiring): void;
  /** Takes nothing more from this client, tells it why, and closes. */
  end(reason: Closing): void;
}

interface Options {
  readonly keys: Pick<KeyRing, "endOf" | "expiryOf" | "onChange">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

/**
 * Ends connections whose key counts no more, and warns those whose key is about to expire. All are looked at, at every
 * change of keys and every second: a few hundred nanoseconds each, and nothing that could be missed.
 */
export class KeyWatch {
  readonly #options: Options;
  /** With the expiry of which each was warned. */
  readonly #watched = new Map<Watched, number | undefined>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: Options) {
    this.#options = options;
    options.keys.onChange(() => this.#look());
  }

  start(): void {
    this.#timer = setInterval(() => this.#look(), this.#options.bounds.keyWatchMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#watched.clear();
  }

  add(connection: Watched): void {
    this.#watched.set(connection, undefined);
  }

  forget(connection: Watched): void {
    this.#watched.delete(connection);
  }

  /** Whose connections are open, one for each. */
  *principals(): Iterable<Principal> {
    for (const { peer } of this.#watched.keys()) yield peer.principal;
  }

  #look(): void {
    for (const [connection, warnedOf] of this.#watched) {
      const { principal } = connection.peer;
      const end = this.#options.keys.endOf(principal);
      if (end !== undefined) this.#end(connection, end);
      else this.#warn(connection, principal, warnedOf);
    }
  }

  #end(connection: Watched, end: KeyEnd): void {
    const { keyId, fingerprint, token } = connection.peer.principal;
    this.#watched.delete(connection);
    this.#options.log.info({ key_id: keyId, fingerprint, end }, "closing a connection: its key counts no more");
    // Whoever lives on short-lived tokens has the next one; a key that ended is nothing to come back with.
    connection.end(
      token !== undefined && end === "expired"
        ? { code: "UNAUTHENTICATED", message: "the token has expired; connect with a new one", reconnect: true }
        : {
            code: "KEY_REVOKED",
            message: end === "expired" ? "the API key has expired" : "the API key was revoked",
            reconnect: false,
          },
    );
  }

  #warn(connection: Watched, principal: Principal, warnedOf: number | undefined): void {
    const expiresAt = this.#options.keys.expiryOf(principal);
    if (expiresAt === undefined || expiresAt === warnedOf) return;
    const restMs = expiresAt - this.#options.clock.now();
    if (restMs > this.#options.bounds.expiryNoticeMs) return;
    this.#watched.set(connection, expiresAt);
    connection.expiring({ expires_at: new Date(expiresAt).toISOString(), expires_in_ms: Math.max(0, restMs) });
  }
}
