import type { Ack } from "../shared/messages/ack.ts";
import type { AuthRefreshed } from "../shared/messages/auth-refresh.ts";
import type { Expiring } from "../shared/messages/notices.ts";
import { type KeySource, keyFrom } from "./key-source.ts";

export type RefreshAck = Ack<AuthRefreshed>;

/** With less time left than this, the hub's end of the connection is as good. */
const LEAST_REST_MS = 200;

/**
 * Gives the hub the next key of one connection before the present one expires. Where that fails it is tried again while
 * there is time; then the hub ends the connection with the key, and the next one begins with another.
 */
export class KeyRefresh {
  readonly #source: KeySource;
  readonly #ask: (key: string, answered: (ack: RefreshAck) => void) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #expiresAt = "";
  /** The same by this process's own clock: clocks of hub and client are never compared. */
  #endsAt = 0;
  #isStopped = false;

  constructor(source: KeySource, ask: (key: string, answered: (ack: RefreshAck) => void) => void) {
    this.#source = source;
    this.#ask = ask;
  }

  expiring({ expires_at, expires_in_ms }: Expiring): void {
    this.#expiresAt = expires_at;
    this.#endsAt = performance.now() + expires_in_ms;
    this.#schedule();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /** With half of the rest left at least, and not all clients of a hub at once. */
  #schedule(): void {
    clearTimeout(this.#timer);
    const restMs = this.#endsAt - performance.now();
    if (this.#isStopped || restMs < LEAST_REST_MS) return;
    this.#timer = setTimeout(() => void this.#refresh(), (restMs / 4) * (1 + Math.random()));
  }

  async #refresh(): Promise<void> {
    const key = await keyFrom(this.#source).catch(() => undefined);
    if (this.#isStopped) return;
    if (key === undefined) this.#schedule();
    else this.#ask(key, (ack) => this.#answered(ack));
  }

  /** A key that lives no longer than the one before brings no further notice of the hub. */
  #answered(ack: RefreshAck): void {
    if (ack?.ok !== true || ack.expires_at === this.#expiresAt) this.#schedule();
  }
}
