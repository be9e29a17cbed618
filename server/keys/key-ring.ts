import { hash, timingSafeEqual } from "node:crypto";
import { FingerprintCounts } from "../counts/fingerprints.ts";
import type { Principal } from "../domain/access.ts";
import { FINGERPRINT_BYTES, hasKeyForm } from "../domain/api-key.ts";
import { ProjectScope } from "../domain/project-scope.ts";
import type { Clock, Logger } from "../ports.ts";
import { looksLikeToken, type Tokens } from "./tokens.ts";

/** A key in force, as its digest. */
export interface KnownKey {
  /** SHA-256, hex. */
  readonly digest: string;
  readonly principal: Principal;
  /** Milliseconds since 1970. */
  readonly expiresAt?: number;
  /** Another key took its place; this one still counts for a while. */
  readonly isReplaced?: boolean;
}

/** Why a connection's key counts no more. */
export type KeyEnd = "revoked" | "expired";

/** Where keys come from; each source is replaced as a whole. */
export type KeySource = "API_KEYS" | "API_KEYS_FILE" | "managed";

interface Options {
  readonly clock: Clock;
  readonly log: Logger;
  /** Any key or none is taken: development without keys, on loopback. Keys that are known are still who they are. */
  readonly isOpen: boolean;
  readonly tokens?: Tokens | undefined;
}

const DEVELOPER: Principal = {
  role: "operator",
  scope: ProjectScope.all,
  keyId: "development",
  fingerprint: "development",
};

/** Said again so often while a replaced key is used, milliseconds. */
const REPLACED_NOTICE_MS = 60_000;

/**
 * Every key in force on this hub, in memory and as digests only: a check touches nothing else. Keys are found by the
 * first 32 bits of their digest and compared whole, in time that does not depend on how much is right.
 */
export class KeyRing {
  readonly #options: Options;
  readonly #sources = new Map<KeySource, readonly KnownKey[]>();
  readonly #byId = new Map<string, KnownKey>();
  readonly #buckets = new Map<number, readonly Stored[]>();
  readonly #listeners: (() => void)[] = [];
  /** Last use by key id, milliseconds since 1970; of keys in force only. */
  readonly #lastUse = new Map<string, number>();
  readonly #noticed = new Map<string, number>();
  /** Since the start. */
  readonly counts = { uses: new FingerprintCounts(), usesOfReplaced: 0 };

  constructor(options: Options) {
    this.#options = options;
    options.tokens?.onChange(() => this.#tell());
  }

  /** Keys that are missing now are in force no more; whoever uses them hears of it through `onChange`. */
  setKeys(source: KeySource, keys: readonly KnownKey[]): void {
    this.#sources.set(source, keys);
    this.#index();
    this.#tell();
  }

  keysOf(source: KeySource): readonly KnownKey[] {
    return this.#sources.get(source) ?? [];
  }

  /** Called whenever a key may have stopped to count. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Whom a key or token stands for; undefined for all others alike. */
  identify(credential: string | undefined): Principal | undefined | Promise<Principal | undefined> {
    const digest = hash("sha256", credential ?? "", "buffer");
    const known = this.#find(digest);
    if (known !== undefined && this.#isInTime(known.expiresAt)) {
      this.#onUse(known);
      return known.principal;
    }
    const { tokens } = this.#options;
    if (tokens !== undefined && credential !== undefined && looksLikeToken(credential)) {
      return tokens.verify(credential).then((verified) => {
        if (verified !== undefined) this.counts.uses.add(verified.fingerprint);
        return verified ?? this.#refuse(credential, digest, known);
      });
    }
    return this.#refuse(credential, digest, known);
  }

  /** Whether and why what was identified before counts no more. */
  endOf({ keyId, token }: Principal): KeyEnd | undefined {
    if (keyId === DEVELOPER.keyId && this.#options.isOpen) return undefined;
    if (token !== undefined) {
      if (!this.#isInTime(token.expiresAt)) return "expired";
      return this.#options.tokens?.knows(token.signer) === true ? undefined : "revoked";
    }
    const known = this.#byId.get(keyId);
    if (known === undefined) return "revoked";
    return this.#isInTime(known.expiresAt) ? undefined : "expired";
  }

  /** Milliseconds since 1970, or undefined for what has no end. */
  expiryOf({ keyId, token }: Principal): number | undefined {
    return token?.expiresAt ?? this.#byId.get(keyId)?.expiresAt;
  }

  lastUseOf(keyId: string): number | undefined {
    return this.#lastUse.get(keyId);
  }

  #find(digest: Buffer): KnownKey | undefined {
    let found: KnownKey | undefined;
    for (const stored of this.#buckets.get(digest.readUInt32BE()) ?? NOBODY) {
      if (timingSafeEqual(stored.digest, digest)) found = stored.known;
    }
    return found;
  }

  #isInTime(expiresAt: number | undefined): boolean {
    return expiresAt === undefined || expiresAt > this.#options.clock.now();
  }

  #onUse({ principal, isReplaced, expiresAt }: KnownKey): void {
    const { keyId, fingerprint } = principal;
    this.counts.uses.add(fingerprint);
    if (isReplaced === true) this.counts.usesOfReplaced += 1;
    const now = this.#options.clock.now();
    this.#lastUse.set(keyId, now);
    if (isReplaced !== true || now < (this.#noticed.get(keyId) ?? 0)) return;
    this.#noticed.set(keyId, now + REPLACED_NOTICE_MS);
    const until = expiresAt === undefined ? undefined : new Date(expiresAt).toISOString();
    this.#options.log.info(
      { event: "key.old_used", fingerprint, key_id: keyId, until },
      "a replaced key is still used",
    );
  }

  /** Why is for the log alone: to the client all refusals are one. */
  #refuse(credential: string | undefined, digest: Buffer, known: KnownKey | undefined): Principal | undefined {
    if (this.#options.isOpen) return DEVELOPER;
    if (credential === undefined) return undefined;
    const reason =
      known !== undefined ? "expired" : hasKeyForm(credential) ? "unknown or revoked" : "malformed or unknown";
    this.#options.log.debug({ reason, fingerprint: digest.toString("hex", 0, FINGERPRINT_BYTES) }, "a key was refused");
    return undefined;
  }

  #index(): void {
    this.#byId.clear();
    this.#buckets.clear();
    for (const known of [...this.#sources.values()].flat()) {
      this.#byId.set(known.principal.keyId, known);
      const digest = Buffer.from(known.digest, "hex");
      const bucket = digest.readUInt32BE();
      this.#buckets.set(bucket, [...(this.#buckets.get(bucket) ?? []), { digest, known }]);
    }
    for (const kept of [this.#lastUse, this.#noticed]) {
      for (const keyId of kept.keys()) if (!this.#byId.has(keyId)) kept.delete(keyId);
    }
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

interface Stored {
  readonly digest: Buffer;
  readonly known: KnownKey | undefined;
}

/** Compared with where there is nothing to compare with. */
const NOBODY: readonly Stored[] = [{ digest: Buffer.alloc(32), known: undefined }];
