import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { SignJWT } from "jose";
import { mongo } from "mongoose";
import { afterEach, expect, test } from "vitest";
import { newKey } from "../../server/domain/api-key.ts";
import { eventually } from "../support/eventually.ts";
import { makeKey } from "../support/keys.ts";
import { OwnRedis } from "../support/own-redis.ts";
import { metricsOf, rest } from "../support/rest.ts";
import { startHub } from "../support/start-hub.ts";
import { Stage } from "../support/test-hub.ts";
import { agent, dial, viewer } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

const JWT_SECRET = "canary-secret-of-more-than-thirty-two-characters";

/** Every command that Redis gets from now on, with its arguments. */
async function monitor(redis: OwnRedis): Promise<() => string> {
  let seen = "";
  const socket = stage.add(connect(redis.port, "127.0.0.1"), (open) => open.destroy());
  socket.setEncoding("utf8").on("data", (text: string) => {
    seen += text;
  });
  socket.write("MONITOR\r\n");
  await eventually("the monitor runs", () => seen.startsWith("+OK"));
  return () => seen;
}

/** All documents of all collections. */
async function dump(uri: string): Promise<string> {
  const client = await mongo.MongoClient.connect(uri);
  try {
    const collections = await client.db().collections();
    const contents = await Promise.all(collections.map((collection) => collection.find().toArray()));
    return JSON.stringify(contents);
  } finally {
    await client.close();
  }
}

test("[K11] [K22] no key is in logs, answers, frames, Redis traffic or MongoDB", async () => {
  const redis = await OwnRedis.start(stage);
  const redisSaw = await monitor(redis);
  const { uri } = stage.database();
  const operator = randomUUID();
  const env = { REDIS_URL: redis.url, LOG_LEVEL: "trace", JWT_SECRET };
  const start = async () =>
    stage.add(await startHub({ mongodbUri: uri, key: operator, env }), (running) => running.stop());
  const [hub, other] = [await start(), await start()];

  const made = await makeKey(hub, { role: "agent", projects: ["web"], name: "canary" });
  const rotated = await rest(hub, `POST /admin/keys/${made.id}/rotate`, { body: { overlap_ms: 60_000 } });
  const revoked = await makeKey(other, { role: "viewer", projects: ["*"] });
  const token = await new SignJWT({ sub: "canary-subject", role: "agent", projects: ["web"] })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime("1m")
    .sign(new TextEncoder().encode(JWT_SECRET));
  const keys = { operator, old: made.key, next: rotated.body.key, revoked: revoked.key, token };
  const wrong = { managed: newKey(), uuid: randomUUID(), token: `${token.slice(0, -8)}AAAAAAAA` };

  const heard: unknown[] = [];
  for (const key of [...Object.values(keys), ...Object.values(wrong)]) {
    for (const url of [hub.url, other.url]) {
      heard.push((await rest({ url, key }, "GET /sessions")).body);
      heard.push((await rest({ url, key }, "GET /admin/keys")).body);
      heard.push((await rest({ url, key }, `DELETE /admin/keys/${key.slice(0, 100)}`)).body);
      heard.push((await rest({ url, key }, "POST /admin/keys", { raw: key })).body);
      heard.push((await rest({ url, key: "none" }, `GET /sessions?key=${encodeURIComponent(key)}`)).body);
      const bearer = { key: operator, headers: { Authorization: `Bearer ${key}` } };
      heard.push((await rest({ url, key }, "GET /health/ready", bearer)).body);
      for (const namespace of ["/agents", "/viewers"] as const) {
        const wire = await dial(stage, { url, key }, namespace).catch((error) => {
          heard.push([error.message, error.data]);
          return undefined;
        });
        if (wire === undefined) continue;
        heard.push(await wire.ask("auth:refresh", { key: wrong.managed }), await wire.ask("auth:refresh", { key }));
        heard.push(wire.heard);
      }
    }
  }
  const reporting = await agent(stage, { url: hub.url, key: keys.old }, "worker");
  const reading = await viewer(stage, { url: other.url, key: keys.token });
  await reading.askOk("project:join", { project_id: "web" });
  const session = { session_id: "s", machine_id: "m", project_id: "web" };
  await reporting.askOk("session:open", session);
  await reading.hears("changes");
  const watching = await viewer(stage, { url: hub.url, key: keys.revoked });
  await rest(other, `DELETE /admin/keys/${revoked.id}`);
  await watching.hears("closing");
  heard.push(reading.heard, reporting.heard, watching.heard);
  await eventually("use of keys is in MongoDB", async () => /"connections":[1-9]/.test(await dump(uri)));

  const metrics = (await Promise.all([hub, other].map(metricsOf))).join("");
  expect(metrics).toMatch(/^statehub_key_uses_total{fingerprint="[0-9a-f]{8}"} [1-9]/m);
  expect(metrics).toMatch(/^statehub_replaced_key_uses_total [1-9]/m);
  const seen = {
    metrics,
    answers: JSON.stringify(heard),
    logs: hub.output() + other.output(),
    redis: redisSaw(),
    mongodb: await dump(uri),
  };
  for (const [where, text] of Object.entries(seen)) {
    expect(text.length, where).toBeGreaterThan(1_000);
    for (const [name, key] of [...Object.entries(keys), ...Object.entries(wrong), ["secret", JWT_SECRET] as const]) {
      // Neither whole nor in part, nor as bytes that were written down.
      for (const form of [key, key.slice(-20), Buffer.from(key).toString("base64").slice(2, 22)]) {
        expect(text.includes(form), `${name} in ${where}`).toBe(false);
      }
    }
  }
  expect(seen.redis.toLowerCase()).toContain('"spublish"');
  expect(seen.logs).toContain(`"fingerprint"`);
});
