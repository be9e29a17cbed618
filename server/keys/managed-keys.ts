import type { BOUNDS } from "../bounds.ts";
import { fingerprintOf } from "../domain/api-key.ts";
import { ProjectScope } from "../domain/project-scope.ts";
import type { Clock, KeyRecord, KeyStore, Logger } from "../ports.ts";
import type { KeyRing, KnownKey } from "./key-ring.ts";

interface Options {
  readonly store: Pick<KeyStore, "readLiving">;
  readonly ring: Pick<KeyRing, "setKeys">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

/** Longer than it takes to look at every connection. */
const JUST_EXPIRED_MS = 10_000;
/** Room for those, and for keys that several hubs made at once. */
const SPARE = 100;

/**
 * Keeps the managed keys of the ring as MongoDB has them: read at the start, when somebody says that they have changed,
 * and every few seconds in case nobody could. While MongoDB is away the keys stay as they were read last.
 */
export class ManagedKeys {
  readonly #options: Options;
  #timer: NodeJS.Timeout | undefined;
  #reading: Promise<void> | undefined;
  /** A change came while they were being read. */
  #isBehind = false;
  #isStopped = false;
  #shown = "[]";

  constructor(options: Options) {
    this.#options = options;
  }

  /** Rejects when MongoDB does not answer: a hub that knows no keys would refuse everybody. */
  async start(): Promise<void> {
    await this.#read();
    this.#timer = setInterval(() => void this.refresh(), this.#options.bounds.keysPollMs);
  }

  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#timer);
  }

  /**
   * Resolves when what stood in MongoDB at the call is in force here, or could not be read. However often it is called,
   * one read at a time.
   */
  refresh(): Promise<void> {
    this.#isBehind = true;
    this.#reading ??= this.#readAll().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #readAll(): Promise<void> {
    while (this.#isBehind && !this.#isStopped) {
      this.#isBehind = false;
      try {
        await this.#read();
      } catch (error) {
        this.#options.log.warn({ err: error }, "keys were not read; those known before stay in force");
      }
    }
  }

  async #read(): Promise<void> {
    const { store, ring, clock, log, bounds } = this.#options;
    // Also those that have just expired, so that their connections hear that rather than that they were revoked.
    const since = new Date(clock.now() - JUST_EXPIRED_MS).toISOString();
    const records = await store.readLiving(since, bounds.managedKeys + SPARE);
    const shown = JSON.stringify(
      records.map(({ id, expires_at, replaced_by }) => [id, expires_at, replaced_by]).sort(),
    );
    if (shown === this.#shown || this.#isStopped) return;
    this.#shown = shown;
    ring.setKeys("managed", records.map(knownKey));
    log.info({ keys: records.length }, "managed keys are in force");
  }
}

function knownKey({ id, digest, role, projects, expires_at, replaced_by }: KeyRecord): KnownKey {
  const scope = role === "operator" ? ProjectScope.all : new ProjectScope(projects);
  return {
    digest,
    principal: { role, scope, keyId: id, fingerprint: fingerprintOf(digest) },
    ...(expires_at === undefined ? {} : { expiresAt: Date.parse(expires_at) }),
    isReplaced: replaced_by !== undefined,
  };
}
