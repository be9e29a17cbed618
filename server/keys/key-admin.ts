import { randomBytes } from "node:crypto";
import { type Refusal, refuse, refuseFields } from "../../shared/errors.ts";
import type { KeyView, NewKey } from "../../shared/rest/keys.ts";
import type { BOUNDS } from "../bounds.ts";
import type { Role } from "../domain/access.ts";
import { digestOf, displayPrefix, fingerprintOf, newKey } from "../domain/api-key.ts";
import type { Clock, KeyRecord, KeyStore, KeyUses, Logger } from "../ports.ts";
import { accepted, type Outcome, refused } from "../writer/outcome.ts";

export interface KeyWish {
  readonly role: Role;
  readonly projects: readonly string[];
  readonly name?: string | undefined;
  readonly expiresAt?: string | undefined;
}

interface Options {
  readonly store: KeyStore;
  readonly uses: Pick<KeyUses, "read">;
  /** Puts into force here, and tells the other hubs, what has just been written. */
  readonly announce: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

const NOT_FOUND: Refusal = refuse("NOT_FOUND", "no managed key has this id");

/** What operators do with keys. Rejects when MongoDB does not answer. */
export class KeyAdmin {
  readonly #options: Options;

  constructor(options: Options) {
    this.#options = options;
  }

  async list(): Promise<KeyView[]> {
    const { store, uses, clock, bounds } = this.#options;
    const [records, usesByHub] = await Promise.all([
      store.list(bounds.listedKeys),
      uses.read(iso(clock.now() - bounds.keyUseStaleMs)),
    ]);
    const views = new Map<string, KeyView>(records.map((record) => [record.id, viewOf(record)]));
    for (const [hubId, used] of usesByHub) {
      for (const { keyId, connections, lastUsedAt } of used) {
        const view = views.get(keyId) ?? configured(keyId);
        if (view === undefined) continue;
        const isNamed = connections > 0 || view.source === "config";
        views.set(keyId, {
          ...view,
          connections: view.connections + connections,
          hubs: isNamed ? [...view.hubs, hubId].sort() : view.hubs,
          ...later(view.last_used_at, lastUsedAt),
        });
      }
    }
    return [...views.values()];
  }

  async create({ role, projects, name, expiresAt }: KeyWish): Promise<Outcome<NewKey>> {
    const { store, clock, bounds } = this.#options;
    const now = clock.now();
    if (role === "operator" && projects.some((pattern) => pattern !== "*")) {
      return refused(
        refuseFields([{ field: "projects", message: 'of an operator is ["*"]: operators reach everything' }]),
      );
    }
    if (role !== "operator" && projects.length === 0) {
      return refused(refuseFields([{ field: "projects", message: "is required for this role" }]));
    }
    if (expiresAt !== undefined && Date.parse(expiresAt) <= now) {
      return refused(refuseFields([{ field: "expires_at", message: "is over already" }]));
    }
    await store.forgetEnded(iso(now - bounds.endedKeysMs));
    const living = await store.readLiving(iso(now), bounds.managedKeys);
    if (living.length >= bounds.managedKeys) {
      const text = `at most ${bounds.managedKeys} managed keys are in force at once; revoke some, or hand out tokens`;
      return refused(refuse("LIMIT_EXCEEDED", text, { limit: bounds.managedKeys }));
    }
    const made = await this.#add({
      role,
      projects: role === "operator" ? ["*"] : [...new Set(projects)].sort(),
      ...(name === undefined ? {} : { name }),
      ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
    });
    return accepted(made);
  }

  /** A key that is revoked already stays as it is. */
  async revoke(id: string): Promise<Outcome<KeyView>> {
    const { store, clock, log } = this.#options;
    const record = await store.revoke(id, iso(clock.now()));
    if (record === undefined) return refused(NOT_FOUND);
    log.info({ key_id: id, fingerprint: fingerprintOf(record.digest) }, "a key was revoked");
    await this.#options.announce();
    return accepted(viewOf(record));
  }

  /** A new key of the same rights and length of life; the old one counts for so long beside it. */
  async rotate(id: string, overlapMs: number): Promise<Outcome<NewKey>> {
    const { store, clock } = this.#options;
    const now = clock.now();
    const old = await store.find(id);
    if (old === undefined) return refused(NOT_FOUND);
    if (old.revoked_at !== undefined || (old.expires_at !== undefined && Date.parse(old.expires_at) <= now)) {
      return refused(refuse("GONE", "this key was revoked or has expired; make a new one"));
    }
    const made = await this.#add(likeNew(old, now), (newId) => store.replace(id, newId, iso(now + overlapMs)));
    return accepted(made);
  }

  /** First the new key, then what is to become of the old one: what a crash leaves between is a key that nobody knows. */
  async #add(rights: Rights, then: (id: string) => Promise<unknown> = async () => {}): Promise<NewKey> {
    const { store, clock, log, announce } = this.#options;
    const key = newKey();
    const record: KeyRecord = {
      id: `key-${randomBytes(6).toString("hex")}`,
      digest: digestOf(key),
      ...rights,
      prefix: displayPrefix(key),
      created_at: iso(clock.now()),
    };
    await store.add(record);
    await then(record.id);
    log.info({ key_id: record.id, fingerprint: fingerprintOf(record.digest), role: record.role }, "a key was made");
    await announce();
    return { ...viewOf(record), key };
  }
}

type Rights = Pick<KeyRecord, "role" | "projects" | "name" | "expires_at">;

/** The same rights, for as long as the old key was meant to have them. */
function likeNew({ role, projects, name, created_at, expires_at }: KeyRecord, now: number): Rights {
  const named = { role, projects, ...(name === undefined ? {} : { name }) };
  return expires_at === undefined
    ? named
    : { ...named, expires_at: iso(now + Date.parse(expires_at) - Date.parse(created_at)) };
}

function viewOf({ digest, ...record }: KeyRecord): KeyView {
  return { ...record, source: "managed", fingerprint: fingerprintOf(digest), connections: 0, hubs: [] };
}

/** A key that a hub tells of and that is not in the database. */
function configured(keyId: string): KeyView | undefined {
  const fingerprint = /^config:([0-9a-f]{8})$/.exec(keyId)?.[1];
  if (fingerprint === undefined) return undefined;
  return { id: keyId, source: "config", fingerprint, role: "operator", projects: ["*"], connections: 0, hubs: [] };
}

function later(a: string | undefined, b: string | undefined): { readonly last_used_at?: string } {
  const last = a === undefined || (b !== undefined && b > a) ? b : a;
  return last === undefined ? {} : { last_used_at: last };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
