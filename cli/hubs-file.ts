// Which hubs this user knows, and the key for each: ~/.config/state-hub/hubs.json, readable by the user alone.
//
//   {"version": 1, "default": "http://127.0.0.1:3000", "hubs": {"http://127.0.0.1:3000": {"key": "…", "saved_at": "…"}}}
//
// Written by `state-hub login` and by a hub that starts; only node: imports, so that the hub needs no CLI library.

import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";

export interface KnownHub {
  readonly url: string;
  /** Absent for a hub that takes any key (development). */
  readonly key?: string;
}

interface HubsFile {
  readonly default: string | undefined;
  readonly hubs: ReadonlyMap<string, { readonly key?: string; readonly saved_at?: string }>;
}

/** Where the file is: XDG_CONFIG_HOME counts when it is an absolute path, as its specification says. */
export function hubsFilePath(env: NodeJS.ProcessEnv = process.env): string {
  const xdg = env.XDG_CONFIG_HOME;
  const base = xdg !== undefined && isAbsolute(xdg) ? xdg : join(homedir(), ".config");
  return join(base, "state-hub", "hubs.json");
}

/** One spelling per hub: no path behind the host unless there is one, no slash at the end. */
export function normalizeUrl(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname.replace(/\/+$/, "")}`;
}

/** The hub of that address, or the default one. */
export function findHub(url?: string, env: NodeJS.ProcessEnv = process.env): KnownHub | undefined {
  const file = readHubsFile(env);
  const wanted = url === undefined ? file.default : normalizeUrl(url);
  const hub = wanted === undefined ? undefined : file.hubs.get(wanted);
  if (wanted === undefined || hub === undefined) return undefined;
  return { url: wanted, ...(hub.key === undefined ? {} : { key: hub.key }) };
}

/**
 * Adds the hub, or replaces what is known of it. The first one becomes the default, a later one only with `makeDefault`.
 * The file is replaced as a whole, so a reader never sees half of it.
 */
export function rememberHub(
  hub: KnownHub & { readonly makeDefault?: boolean },
  env: NodeJS.ProcessEnv = process.env,
): void {
  const url = normalizeUrl(hub.url);
  const file = readHubsFile(env);
  const known = file.hubs.get(url);
  const isDefault = hub.makeDefault === true || file.default === undefined;
  if (known !== undefined && known.key === hub.key && (!isDefault || file.default === url)) return;
  const entry = { ...(hub.key === undefined ? {} : { key: hub.key }), saved_at: new Date().toISOString() };
  const hubs = new Map(file.hubs).set(url, entry);
  write(hubsFilePath(env), { version: 1, default: isDefault ? url : file.default, hubs: Object.fromEntries(hubs) });
}

function readHubsFile(env: NodeJS.ProcessEnv): HubsFile {
  const path = hubsFilePath(env);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return { default: undefined, hubs: new Map() };
    throw error;
  }
  try {
    return parse(JSON.parse(text));
  } catch (error) {
    throw new Error(`${path} cannot be used (${(error as Error).message}): correct it, or remove it and log in again`);
  }
}

function parse(content: unknown): HubsFile {
  if (typeof content !== "object" || content === null) throw new Error("not an object");
  const { version, default: byDefault, hubs } = content as Record<string, unknown>;
  if (version !== 1) throw new Error(`version ${JSON.stringify(version)} is not known to this program`);
  if (typeof hubs !== "object" || hubs === null) throw new Error('"hubs" is missing');
  const known = new Map<string, { key?: string; saved_at?: string }>();
  for (const [url, entry] of Object.entries(hubs)) {
    const { key, saved_at } = (entry ?? {}) as Record<string, unknown>;
    known.set(url, {
      ...(typeof key === "string" ? { key } : {}),
      ...(typeof saved_at === "string" ? { saved_at } : {}),
    });
  }
  return { default: typeof byDefault === "string" ? byDefault : undefined, hubs: known };
}

/** Created for the user alone from the first byte on: it holds keys. */
function write(path: string, content: object): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomBytes(4).toString("hex")}`;
  try {
    writeFileSync(draft, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600, flag: "wx" });
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}
