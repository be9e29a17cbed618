import {
  createLocalJWKSet,
  decodeProtectedHeader,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyOptions,
  jwtVerify,
} from "jose";
import { z } from "zod";
import { isProjectPattern } from "../../shared/project-pattern.ts";
import { type Principal, ROLES } from "../domain/access.ts";
import { digestOf, fingerprintOf } from "../domain/api-key.ts";
import { ProjectScope } from "../domain/project-scope.ts";
import type { Clock, Logger } from "../ports.ts";

interface Options {
  /** For HMAC; the present one first. */
  readonly secrets: readonly string[];
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The secret and the public keys each have their own algorithms, so that one is never taken for the other. */
const SECRET_ALGORITHMS = ["HS256", "HS384", "HS512"];
const PUBLIC_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519"];

/** Tokens are meant to be short-lived: one that holds for longer than this is refused. */
const LONGEST_LIFE_MS = 24 * 60 * 60_000;
/** Between the clock of whoever signs and the database's. */
const CLOCK_TOLERANCE_S = 5;
const MOST_PATTERNS = 100;
/** What tokens made with the shared secret are signed with, in a principal. */
const SECRET = "secret";

const Claims = z.object({
  sub: z.string().min(1).max(256),
  role: z.enum(ROLES),
  projects: z.array(z.string().refine(isProjectPattern)).max(MOST_PATTERNS).default([]),
  exp: z.int(),
});

/** JWTs in place of keys: `sub`, `role`, `projects`, `exp`, signed with a shared secret or a key of a JWKS. */
export class Tokens {
  readonly #options: Options;
  readonly #secrets: readonly Uint8Array[];
  readonly #listeners: (() => void)[] = [];
  #publicKeys: ReturnType<typeof createLocalJWKSet> | undefined;
  #signers: ReadonlySet<string> = new Set();

  constructor(options: Options) {
    this.#options = options;
    this.#secrets = options.secrets.map((secret) => new TextEncoder().encode(secret));
  }

  /**
   * The text of a JWKS file. Replaces all public keys.
   *
   * @throws Error when it is none; the former keys stay
   */
  setJwks(text: string): void {
    const set = parseJwks(text);
    this.#publicKeys = createLocalJWKSet(set);
    this.#signers = new Set(set.keys.map(({ kid }) => kid as string));
    for (const listener of this.#listeners) listener();
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Whether tokens of this signer still count. */
  knows(signer: string): boolean {
    return signer === SECRET ? this.#secrets.length > 0 : this.#signers.has(signer.slice(KID.length));
  }

  /** Whom a token stands for, or undefined. Never rejects. */
  async verify(token: string): Promise<Principal | undefined> {
    try {
      const { payload, signer } = await this.#open(token);
      return this.#principalOf(payload, signer);
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      this.#options.log.debug({ reason: code ?? message }, "a token was refused");
      return undefined;
    }
  }

  async #open(token: string): Promise<{ payload: JWTPayload; signer: string }> {
    const { alg = "", kid } = decodeProtectedHeader(token);
    if (PUBLIC_ALGORITHMS.includes(alg) && this.#publicKeys !== undefined) {
      if (kid === undefined) throw new Error("a token signed with a public key names its kid");
      const { payload } = await jwtVerify(token, this.#publicKeys, this.#checks(PUBLIC_ALGORITHMS));
      return { payload, signer: KID + kid };
    }
    let failure: unknown = new Error("nothing verifies this algorithm here");
    for (const secret of this.#secrets) {
      try {
        const { payload } = await jwtVerify(token, secret, this.#checks(SECRET_ALGORITHMS));
        return { payload, signer: SECRET };
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  #checks(algorithms: string[]): JWTVerifyOptions {
    const { clock, issuer, audience } = this.#options;
    return {
      algorithms,
      currentDate: new Date(clock.now()),
      clockTolerance: CLOCK_TOLERANCE_S,
      requiredClaims: ["exp", "sub"],
      ...(issuer === undefined ? {} : { issuer }),
      ...(audience === undefined ? {} : { audience }),
    };
  }

  #principalOf(payload: JWTPayload, signer: string): Principal {
    const parsed = Claims.safeParse(payload);
    if (!parsed.success) throw new Error(`claim ${parsed.error.issues[0]?.path.join(".")} is missing or malformed`);
    const { sub, role, projects, exp } = parsed.data;
    if (role !== "operator" && projects.length === 0) throw new Error("claim projects is missing or malformed");
    const expiresAt = exp * 1_000;
    const restMs = expiresAt - this.#options.clock.now();
    if (restMs <= 0) throw new Error("has expired");
    if (restMs > LONGEST_LIFE_MS) throw new Error("holds for longer than 24 h");
    // Of the subject: its next token is the same one to logs, changes and limits.
    const fingerprint = fingerprintOf(digestOf(sub));
    return {
      role,
      scope: role === "operator" ? ProjectScope.all : new ProjectScope(projects),
      keyId: `token:${fingerprint}`,
      fingerprint,
      token: { signer, expiresAt },
    };
  }
}

const KID = "kid:";

export function looksLikeToken(text: string): boolean {
  return /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text);
}

function parseJwks(text: string): JSONWebKeySet {
  let value: JSONWebKeySet;
  try {
    value = JSON.parse(text) as JSONWebKeySet;
  } catch {
    // The parser's own words quote the text.
    throw new Error("JWT_JWKS_FILE is no JSON");
  }
  const { keys } = value ?? {};
  if (!Array.isArray(keys) || keys.length === 0) throw new Error("JWT_JWKS_FILE holds no keys");
  if (keys.some(({ kid }) => typeof kid !== "string" || kid === "")) throw new Error("JWT_JWKS_FILE: a key has no kid");
  if (keys.some(({ kty, d }) => kty === "oct" || d !== undefined)) {
    throw new Error("JWT_JWKS_FILE holds a secret key; it is for public ones");
  }
  return value;
}
