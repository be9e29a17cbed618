import { ago, printable, table } from "./output.ts";

/** A key as the hub shows it. */
export interface KeyView {
  readonly id: string;
  readonly source: string;
  readonly fingerprint: string;
  readonly role: string;
  readonly projects: readonly string[];
  readonly name?: string;
  readonly prefix?: string;
  readonly expires_at?: string;
  readonly revoked_at?: string;
  readonly last_used_at?: string;
  readonly replaced_by?: string;
  readonly connections: number;
  readonly hubs: readonly string[];
}

const HEAD = ["id", "fingerprint", "key", "role", "projects", "state", "last used", "connections", "name"];

/** One line a key. */
export function keyTable(keys: readonly KeyView[], now: number): string {
  const rows = keys.map((key) => [
    printable(key.id),
    key.fingerprint,
    key.prefix === undefined ? "(configured)" : `${key.prefix}…`,
    key.role,
    key.projects.map(printable).join(","),
    stateOf(key, now),
    key.last_used_at === undefined ? "never" : `${ago(key.last_used_at, now)} ago`,
    usedBy(key),
    printable(key.name ?? ""),
  ]);
  return table([HEAD, ...rows]);
}

function stateOf({ revoked_at, expires_at, replaced_by }: KeyView, now: number): string {
  if (revoked_at !== undefined) return "revoked";
  if (expires_at === undefined) return "in force";
  if (Date.parse(expires_at) <= now) return "expired";
  return `${replaced_by === undefined ? "until" : "replaced, until"} ${expires_at.slice(0, 16)}Z`;
}

function usedBy({ connections, hubs, source }: KeyView): string {
  if (hubs.length === 0) return "0";
  return source === "config" && connections === 0
    ? `0, known to ${hubs.length} hubs`
    : `${connections} on ${hubs.join(" ")}`;
}
