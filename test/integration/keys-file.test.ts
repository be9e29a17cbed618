import { randomUUID } from "node:crypto";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterEach, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { shownKey } from "../support/keys.ts";
import { rest } from "../support/rest.ts";
import { Stage } from "../support/test-hub.ts";
import { agent, dial, viewer, type Wire } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

function secretFile(name: string) {
  const folder = stage.add(mkdtempSync(join(tmpdir(), "keys-")), (path) => rmSync(path, { recursive: true }));
  const path = join(folder, name);
  const write = (text: string) => {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  };
  return { path, write };
}

async function isTaken(url: string, key: string): Promise<boolean> {
  return (await rest({ url, key }, "GET /sessions")).status === 200;
}

async function closed(wire: Wire): Promise<void> {
  await eventually("the connection is closed", () => !wire.socket.connected);
}

describe("API_KEYS_FILE", () => {
  test("[K24] old and new keys beside each other, then the old one goes with its connections", async () => {
    const [kept, old, next] = [randomUUID(), randomUUID(), randomUUID()];
    const file = secretFile("keys");
    file.write(`# of the night shift\n${old}\n`);
    const hub = await stage.hub({
      key: kept,
      env: { API_KEYS_FILE: file.path },
      overrides: { bounds: { keyUseMs: 100, watchedFileMs: 50 } },
    });
    const [still, moved] = [await agent(stage, hub), await agent(stage, { url: hub.url, key: old })];
    file.write(`${old}, ${next} # both for a while\n`);
    await eventually("the new key counts", () => isTaken(hub.url, next));
    expect(await isTaken(hub.url, old)).toBe(true);
    const fingerprint = moved.messages("welcome").length === 1 ? await fingerprintInUse(hub) : "";
    expect(await shownKey(hub, `config:${fingerprint}`)).toMatchObject({ source: "config", hubs: [hub.hubId] });
    file.write(next);
    await closed(moved);
    expect(moved.messages("closing")).toMatchObject([{ code: "KEY_REVOKED", reconnect: false }]);
    expect(await isTaken(hub.url, old)).toBe(false);
    expect(still.socket.connected).toBe(true);
  });

  test.each(["", "secret-word"])("[K24] with %j the hub does not start, and quotes nothing", async (text) => {
    const file = secretFile("keys");
    file.write(text);
    const starting = stage.hub({ env: { API_KEYS_FILE: file.path } });
    await expect(starting).rejects.toThrow(/^API_KEYS_FILE(:| holds)/);
    await expect(starting).rejects.not.toThrow("secret-word");
  });

  /** Of the key that has a connection beside the test's own. */
  async function fingerprintInUse(hub: { url: string; key: string }): Promise<string> {
    return eventually("both keys are in use", async () => {
      const { body } = await rest(hub, "GET /admin/keys");
      const used = body.items.filter((key: { connections: number }) => key.connections === 1);
      const own = used.find((key: { last_used_at: string }) => key.last_used_at === newest(used));
      return used.length === 2 ? used.find((key: object) => key !== own)?.fingerprint : undefined;
    });
  }

  function newest(keys: readonly { last_used_at: string }[]): string {
    return (
      keys
        .map(({ last_used_at }) => last_used_at)
        .toSorted()
        .at(-1) ?? ""
    );
  }
});

describe("tokens", () => {
  const SECRET = "a secret of more than thirty-two characters";
  const sign = (claims: object, expiresInS: number) =>
    new SignJWT({ sub: "builder", role: "agent", projects: ["web"], ...claims })
      .setProtectedHeader({ alg: "HS256" })
      .setExpirationTime(Math.floor(Date.now() / 1_000) + expiresInS)
      .sign(new TextEncoder().encode(SECRET));

  test("[K10] a JWT stands in place of a key, over REST and sockets, within its role and projects", async () => {
    const hub = await stage.hub({ env: { JWT_SECRET: SECRET } });
    const token = await sign({}, 60);
    const bearer = { key: null, headers: { Authorization: `Bearer ${token}` } };
    expect((await rest(hub, "GET /sessions", bearer)).status).toBe(200);
    expect((await rest(hub, "GET /sessions?project_id=other", bearer)).status).toBe(403);
    expect((await rest(hub, "GET /admin/keys", bearer)).status).toBe(403);
    const wire = await agent(stage, { url: hub.url, key: token });
    await wire.askOk("session:open", { session_id: "s", machine_id: "m", project_id: "web" });
    expect(wire.messages("welcome")[0]).toMatchObject({ role: "agent", expires_at: expect.any(String) });
    const expired = await rest(hub, "GET /sessions", { key: await sign({}, -1) });
    const unknown = await rest(hub, "GET /sessions", { key: "x" });
    expect({ ...expired.body, request_id: "" }).toEqual({ ...unknown.body, request_id: "" });
  });

  test("[K17] [K19] a token that expires: a warning, a chance to refresh, then the end for who did not", async () => {
    const hub = await stage.hub({ env: { JWT_SECRET: SECRET } });
    const token = await sign({}, 3);
    const [refreshes, does_not] = [
      await agent(stage, { url: hub.url, key: token }),
      await dial(stage, { url: hub.url, key: token }, "/agents", { reconnection: true }),
    ];
    await refreshes.hears("expiring");
    const next = await sign({}, 60);
    expect(await refreshes.askOk("auth:refresh", { key: next })).toMatchObject({ expires_at: expect.any(String) });
    await does_not.hears("closing");
    expect(does_not.messages("closing")).toMatchObject([{ code: "UNAUTHENTICATED", reconnect: true }]);
    await closed(does_not);
    // Comes back by itself, and would have the next token by then.
    expect(does_not.socket.active).toBe(true);
    await refreshes.askOk("session:open", { session_id: "s", machine_id: "m", project_id: "web" });
    expect(refreshes.socket.connected).toBe(true);
  });

  test("[K24] a key that leaves JWT_JWKS_FILE takes its connections with it", async () => {
    const pairs = await Promise.all(["k1", "k2"].map(async (kid) => ({ kid, ...(await generateKeyPair("EdDSA")) })));
    const jwk = async ({ kid, publicKey }: (typeof pairs)[number]) => ({ ...(await exportJWK(publicKey)), kid });
    const file = secretFile("jwks");
    const writeKeys = async (...kept: (typeof pairs)[number][]) =>
      file.write(JSON.stringify({ keys: await Promise.all(kept.map(jwk)) }));
    const [first, second] = pairs as [(typeof pairs)[number], (typeof pairs)[number]];
    await writeKeys(first);
    const env = { JWT_JWKS_FILE: file.path, JWT_AUDIENCE: "hub" };
    const hub = await stage.hub({ env, overrides: { bounds: { watchedFileMs: 50 } } });
    const tokenOf = ({ kid, privateKey }: (typeof pairs)[number]) =>
      new SignJWT({ sub: "reader", role: "viewer", projects: ["*"], aud: "hub" })
        .setProtectedHeader({ alg: "EdDSA", kid })
        .setExpirationTime("1m")
        .sign(privateKey);
    const wire = await viewer(stage, { url: hub.url, key: await tokenOf(first) });
    await writeKeys(first, second);
    const key = await tokenOf(second);
    await eventually("the second key counts", () => isTaken(hub.url, key));
    expect(wire.socket.connected).toBe(true);
    await writeKeys(second);
    await closed(wire);
    expect(wire.messages("closing")).toMatchObject([{ code: "KEY_REVOKED", reconnect: false }]);
    expect(await isTaken(hub.url, key)).toBe(true);
  });
});
