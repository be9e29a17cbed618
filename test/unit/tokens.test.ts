import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { Tokens } from "../../server/keys/tokens.ts";

const NOW = Date.parse("2026-11-22T12:00:00Z");
const SECRET = "s".repeat(32);
const PREVIOUS = "p".repeat(32);
const log = { debug() {}, info() {}, warn() {}, error() {} };
const clock = { now: () => NOW, monotonic: () => 0 };
const CLAIMS = { sub: "build-machine", role: "agent", projects: ["web", "acme-*"] };

type KeyPair = Awaited<ReturnType<typeof generateKeyPair>>;
let pair: KeyPair;
let stranger: KeyPair;
let jwks: string;

beforeAll(async () => {
  [pair, stranger] = await Promise.all([generateKeyPair("ES256"), generateKeyPair("ES256")]);
  jwks = JSON.stringify({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: "k1" }] });
});

function tokens(more: { issuer?: string; audience?: string; secrets?: string[] } = {}): Tokens {
  return new Tokens({ secrets: [SECRET, PREVIOUS], issuer: undefined, audience: undefined, clock, log, ...more });
}

interface Signing {
  readonly claims?: object;
  readonly expiresInS?: number | null;
  readonly header?: object;
  readonly key?: Uint8Array | KeyPair["privateKey"];
}

function sign({ claims = CLAIMS, expiresInS = 300, header = {}, key = bytes(SECRET) }: Signing = {}): Promise<string> {
  const jwt = new SignJWT({ ...claims }).setProtectedHeader({ alg: "HS256", ...header });
  if (expiresInS !== null) jwt.setExpirationTime(NOW / 1_000 + expiresInS);
  return jwt.sign(key);
}

const bytes = (secret: string) => new TextEncoder().encode(secret);

describe("tokens that count", () => {
  test.each([SECRET, PREVIOUS])("[K23] made with the present or the former secret", async (secret) => {
    const principal = await tokens().verify(await sign({ key: bytes(secret) }));
    expect(principal).toMatchObject({ role: "agent", token: { signer: "secret", expiresAt: NOW + 300_000 } });
    expect(principal?.scope.has("acme-1") && principal.scope.has("web") && !principal.scope.has("x")).toBe(true);
    expect(JSON.stringify(principal)).not.toContain("build-machine");
  });

  test("[K23] signed with a key of the JWKS, until that key is gone", async () => {
    const all = tokens();
    all.setJwks(jwks);
    const token = await sign({ key: pair.privateKey, header: { alg: "ES256", kid: "k1" } });
    const principal = await all.verify(token);
    expect(principal?.token?.signer).toBe("kid:k1");
    expect(all.knows("kid:k1")).toBe(true);
    const next = await generateKeyPair("EdDSA");
    let told = 0;
    all.onChange(() => {
      told += 1;
    });
    all.setJwks(JSON.stringify({ keys: [{ ...(await exportJWK(next.publicKey)), kid: "k2" }] }));
    expect([told, all.knows("kid:k1"), all.knows("kid:k2")]).toEqual([1, false, true]);
    expect(await all.verify(token)).toBeUndefined();
  });

  test("[K23] an operator's needs no projects and reaches all", async () => {
    const principal = await tokens().verify(await sign({ claims: { sub: "o", role: "operator" } }));
    expect(principal?.scope.isAll).toBe(true);
  });

  test("[K23] two tokens of one subject are one key to logs and changes", async () => {
    const all = tokens();
    const [a, b] = [await all.verify(await sign()), await all.verify(await sign({ expiresInS: 60 }))];
    expect(a?.fingerprint).toBe(b?.fingerprint);
    expect(a?.keyId).toBe(`token:${a?.fingerprint}`);
  });

  test("[K23] meant for this hub, by issuer and audience", async () => {
    const strict = tokens({ issuer: "https://id.example", audience: "state-hub" });
    const right = { ...CLAIMS, iss: "https://id.example", aud: ["state-hub", "other"] };
    expect(await strict.verify(await sign({ claims: right }))).toBeDefined();
    expect(await strict.verify(await sign({ claims: { ...right, aud: "other" } }))).toBeUndefined();
    expect(await strict.verify(await sign({ claims: { ...right, iss: "https://evil.example" } }))).toBeUndefined();
    expect(await strict.verify(await sign())).toBeUndefined();
  });
});

describe("tokens that do not", () => {
  const b64 = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

  test.each<[string, Signing]>([
    ["without an end", { expiresInS: null }],
    ["expired", { expiresInS: 0 }],
    ["expired a moment ago, within the tolerance for clocks", { expiresInS: -2 }],
    ["that hold for more than a day", { expiresInS: 86_401 }],
    ["not valid yet", { claims: { ...CLAIMS, nbf: NOW / 1_000 + 60 } }],
    ["without a subject", { claims: { role: "agent", projects: ["web"] } }],
    ["without a role", { claims: { sub: "a", projects: ["web"] } }],
    ["of an unknown role", { claims: { ...CLAIMS, role: "root" } }],
    ["without projects", { claims: { sub: "a", role: "agent" } }],
    ["of no projects", { claims: { ...CLAIMS, projects: [] } }],
    ["of a malformed pattern", { claims: { ...CLAIMS, projects: ["a*"] } }],
    ["whose projects are no list", { claims: { ...CLAIMS, projects: "*" } }],
    ["made with another secret", { key: bytes("x".repeat(32)) }],
  ])("[K23] %s", async (_title, signing) => {
    expect(await tokens().verify(await sign(signing))).toBeUndefined();
  });

  test("[K23] without a signature, or whose public key is taken for a secret", async () => {
    const all = tokens();
    all.setJwks(jwks);
    const claims = { ...CLAIMS, exp: NOW / 1_000 + 300 };
    expect(await all.verify(`${b64({ alg: "none" })}.${b64(claims)}.`)).toBeUndefined();
    expect(await all.verify(`${b64({ alg: "none" })}.${b64(claims)}.AA`)).toBeUndefined();
    const confused = await sign({ key: bytes(jwks), header: { alg: "HS256", kid: "k1" } });
    expect(await all.verify(confused)).toBeUndefined();
    expect(await tokens({ secrets: [] }).verify(await sign())).toBeUndefined();
  });

  test("[K23] of a stranger's key under a known name, or of no name", async () => {
    const all = tokens();
    all.setJwks(jwks);
    const forged = await sign({ key: stranger.privateKey, header: { alg: "ES256", kid: "k1" } });
    const nameless = await sign({ key: pair.privateKey, header: { alg: "ES256" } });
    for (const token of [forged, nameless, "a.b.c", "..", ""]) expect(await all.verify(token)).toBeUndefined();
  });

  test.each(["", "{}", "[]", '{"keys":[]}', '{"keys":[{"kty":"EC"}]}', '{"keys":[{"kty":"oct","k":"AA","kid":"a"}]}'])(
    "[K23] %j is no JWKS, and the former one stays",
    async (text) => {
      const all = tokens();
      all.setJwks(jwks);
      expect(() => all.setJwks(text)).toThrow();
      expect(all.knows("kid:k1")).toBe(true);
    },
  );
});
