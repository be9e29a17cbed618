import type { BOUNDS } from "./bounds.ts";
import type { Config } from "./config.ts";
import type { Principal } from "./domain/access.ts";
import { configuredKeys } from "./keys/configured-keys.ts";
import { KeyAdmin } from "./keys/key-admin.ts";
import { KeyRing } from "./keys/key-ring.ts";
import { KeyUsage } from "./keys/key-usage.ts";
import { ManagedKeys } from "./keys/managed-keys.ts";
import { Tokens } from "./keys/tokens.ts";
import type { Clock, KeyNotes, KeyStore, KeyUses, Logger } from "./ports.ts";
import { readApiKeys } from "./secret-files.ts";
import { StartupError } from "./startup-error.ts";
import { readWatchedFile, WatchedFile } from "./watched-file.ts";

interface Parts {
  readonly config: Config;
  /** Keys that the hub was started with, the first-run key included. */
  readonly given: readonly string[];
  readonly store: KeyStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

interface Sharing {
  readonly hubId: string;
  readonly fanOut: KeyNotes;
  readonly uses: KeyUses;
  /** Whose connections are open here, one for each. */
  readonly principals: () => Iterable<Principal>;
}

interface WiredKeys {
  readonly ring: KeyRing;
  /** Tells other hubs of keys and hears of theirs, once connections and fan-out are there. */
  share(sharing: Sharing): KeyAdmin;
}

type OnStop = (name: string, close: () => Promise<void> | void) => void;

/**
 * Whose word counts: keys of the settings, of API_KEYS_FILE and of the database, and tokens, all in one ring.
 *
 * @throws StartupError when a file makes no sense
 */
export async function wireKeys(parts: Parts, onStop: OnStop): Promise<WiredKeys> {
  const { config, given, store, clock, log, bounds } = parts;
  const tokens = await wireTokens(parts, onStop);
  const ring = new KeyRing({ clock, log, isOpen: config.isOpen, tokens });
  ring.setKeys("API_KEYS", configuredKeys(given));
  await followApiKeysFile(parts, ring, onStop);
  const managed = new ManagedKeys({ store, ring, clock, log, bounds });
  await managed.start();
  onStop("managed keys", () => managed.stop());
  return {
    ring,
    share: ({ hubId, fanOut, uses, principals }) => {
      fanOut.onKeys(() => void managed.refresh());
      const usage = new KeyUsage({ hubId, uses, ring, principals, clock, log, bounds });
      onStop("use of keys", () => usage.stop());
      const announce = () => {
        fanOut.tellKeys();
        return managed.refresh();
      };
      return new KeyAdmin({ store, uses, announce, clock, log, bounds });
    },
  };
}

async function wireTokens({ config, clock, log, bounds }: Parts, onStop: OnStop): Promise<Tokens | undefined> {
  const { JWT_SECRET, JWT_SECRET_PREVIOUS, JWT_JWKS_FILE: path, JWT_ISSUER: issuer, JWT_AUDIENCE: audience } = config;
  const secrets = [JWT_SECRET, JWT_SECRET_PREVIOUS].filter((secret) => secret !== undefined);
  if (secrets.length === 0 && path === undefined) return undefined;
  const tokens = new Tokens({ secrets, issuer, audience, clock, log });
  const onChange = (text: string) => tokens.setJwks(text);
  if (path !== undefined) await followFile({ setting: "JWT_JWKS_FILE", path, onChange, log, bounds }, onStop);
  return tokens;
}

async function followApiKeysFile({ config, log, bounds }: Parts, ring: KeyRing, onStop: OnStop): Promise<void> {
  const path = config.API_KEYS_FILE;
  if (path === undefined) return;
  const onChange = (text: string) => {
    const { keys, warnings } = readApiKeys(text, config.NODE_ENV === "development");
    for (const warning of warnings) log.warn({}, warning);
    ring.setKeys("API_KEYS_FILE", configuredKeys(keys));
  };
  await followFile({ setting: "API_KEYS_FILE", path, onChange, log, bounds }, onStop);
}

/** Once now, where it has to make sense, and again whenever it changes. */
async function followFile(
  file: Omit<ConstructorParameters<typeof WatchedFile>[0], "text"> & { readonly onChange: (text: string) => void },
  onStop: OnStop,
): Promise<void> {
  const text = await readWatchedFile(file.setting, file.path);
  try {
    file.onChange(text);
  } catch (error) {
    throw new StartupError((error as Error).message, { cause: error });
  }
  const watched = new WatchedFile({ ...file, text });
  onStop(file.setting, () => watched.stop());
}
