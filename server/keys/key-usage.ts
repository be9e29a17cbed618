import type { BOUNDS } from "../bounds.ts";
import type { Principal } from "../domain/access.ts";
import { within } from "../patience.ts";
import type { Clock, KeyUse, KeyUses, Logger } from "../ports.ts";
import type { KeyRing } from "./key-ring.ts";

interface Options {
  readonly hubId: string;
  readonly uses: Pick<KeyUses, "write" | "remove">;
  readonly ring: Pick<KeyRing, "keysOf" | "lastUseOf">;
  /** Whose connections are open here, one for each. */
  readonly principals: () => Iterable<Principal>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

/** What a stop waits for at most. */
const FAREWELL_MS = 1_000;

/** Tells the database every few seconds how this hub uses its keys, so that `keys list` knows it of all hubs. */
export class KeyUsage {
  readonly #options: Options;
  readonly #timer: NodeJS.Timeout;
  #writing: Promise<void> | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#timer = setInterval(() => this.flush(), options.bounds.keyUseMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const { uses, hubId, log } = this.#options;
    // What is left of it when MongoDB is away grows stale.
    const removed = (this.#writing ?? Promise.resolve()).then(() => uses.remove(hubId));
    await within(FAREWELL_MS, removed).catch((error: unknown) =>
      log.debug({ err: error }, "use of keys was not removed"),
    );
  }

  /** One write at a time; what could not be written comes with the next. */
  flush(): void {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  async #write(): Promise<void> {
    const { hubId, uses, clock, log } = this.#options;
    try {
      await uses.write(hubId, new Date(clock.now()).toISOString(), this.#uses());
    } catch (error) {
      log.debug({ err: error }, "use of keys was not written");
    }
  }

  /** Configured keys always, managed ones when they are used: who knows the latter is no secret of a hub. */
  #uses(): KeyUse[] {
    const { ring, principals } = this.#options;
    const connections = new Map<string, number>();
    for (const { keyId } of principals()) connections.set(keyId, (connections.get(keyId) ?? 0) + 1);
    const use = (keyId: string): KeyUse => {
      const lastUse = ring.lastUseOf(keyId);
      const lastUsedAt = lastUse === undefined ? undefined : new Date(lastUse).toISOString();
      return { keyId, connections: connections.get(keyId) ?? 0, lastUsedAt };
    };
    const configured = [...ring.keysOf("API_KEYS"), ...ring.keysOf("API_KEYS_FILE")];
    const ids = new Set(configured.map(({ principal }) => principal.keyId));
    const managed = ring.keysOf("managed").map(({ principal }) => use(principal.keyId));
    return [...[...ids].map(use), ...managed.filter((one) => one.connections > 0 || one.lastUsedAt !== undefined)];
  }
}
