import { createHash, timingSafeEqual } from "node:crypto";

export type Role = "viewer" | "agent" | "operator";

/** Whom a key stands for. Keys of `API_KEYS` are operators of all projects. */
export interface Identity {
  readonly role: Role;
  /** First 8 hex digits of the key's SHA-256: enough to tell keys apart in logs, useless to log in with. */
  readonly keyId: string;
}

/** Known keys, as digests only. */
export class Keys {
  readonly #digests: readonly Buffer[];
  readonly #open: boolean;

  /** @param open any key or none is taken: development without keys, on loopback */
  constructor(keys: readonly string[], open: boolean) {
    this.#digests = keys.map(digest);
    this.#open = open;
  }

  /** The identity of a key, or undefined. The work does not depend on how much of a key is right. */
  identify(key: string | undefined): Identity | undefined {
    if (this.#open) return { role: "operator", keyId: "development" };
    const given = digest(key ?? "");
    let known = false;
    for (const candidate of this.#digests) known = timingSafeEqual(candidate, given) || known;
    return known && key !== undefined ? { role: "operator", keyId: given.toString("hex").slice(0, 8) } : undefined;
  }
}

function digest(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}

/** The key of a request: `X-Api-Key`, or `Authorization: Bearer`. Two that differ are worse than none. */
export function keyFromHeaders(headers: {
  readonly [name: string]: string | string[] | undefined;
}): { readonly key: string | undefined } | { readonly ambiguous: true } {
  const direct = headers["x-api-key"];
  const bearer = /^Bearer +(\S+)$/i.exec(single(headers.authorization) ?? "")?.[1];
  const key = single(direct);
  if (key !== undefined && bearer !== undefined && key !== bearer) return { ambiguous: true };
  return { key: key ?? bearer };
}

const KEY_PARAMETER = /^((x[_-])?api[_-]?key|key|(access_)?token|jwt|auth(orization)?)$/i;

/** Whether people put keys into URLs under this name, where proxies and histories keep them. */
export function isKeyParameter(name: string): boolean {
  return KEY_PARAMETER.test(name);
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
