import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:tls";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Certificates, makeCertificates } from "../support/certificates.ts";
import { eventually } from "../support/eventually.ts";
import { OwnRedis } from "../support/own-redis.ts";
import { rest } from "../support/rest.ts";
import { type HubProcess, startHub } from "../support/start-hub.ts";
import { Stage } from "../support/test-hub.ts";
import type { Json } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

async function hubOn(redisUrl: string, env: Readonly<Record<string, string>> = {}): Promise<HubProcess> {
  const settings = { mongodbUri: stage.database().uri, key: randomUUID(), env: { REDIS_URL: redisUrl, ...env } };
  return stage.add(await startHub(settings), (hub) => hub.stop());
}

async function redisOf(hub: HubProcess): Promise<Json> {
  return (await rest(hub, "GET /health/ready")).body.checks.redis;
}

async function trouble(hub: HubProcess, words: string): Promise<void> {
  await eventually(`it says "${words}"`, async () => (await redisOf(hub)).trouble?.includes(words));
  expect(await redisOf(hub)).toMatchObject({ status: "degraded" });
}

describe("over TLS", () => {
  let port: number;
  let caFile: string;

  beforeEach(async () => {
    const certificates = stage.add(makeCertificates(["localhost", "127.0.0.1"]), ({ remove }) => remove());
    port = await terminateTls((await OwnRedis.start(stage)).port, certificates);
    caFile = certificates.caFile;
  });

  test.each(["localhost", "127.0.0.1"])("[D17] rediss://%s with a CA named in NODE_EXTRA_CA_CERTS", async (host) => {
    const hub = await hubOn(`rediss://${host}:${port}`, { NODE_EXTRA_CA_CERTS: caFile });
    await eventually("it is live", async () => (await redisOf(hub)).status === "ok");
    expect(hub.output()).not.toContain("Warning");
  });

  test("[D20] a certificate that nobody vouches for: degraded, and says what to set", async () => {
    await trouble(await hubOn(`rediss://localhost:${port}`), "NODE_EXTRA_CA_CERTS");
  });
});

test("[D20] a Redis in cluster mode: degraded, and says so", async () => {
  const redis = await OwnRedis.absent(stage);
  const folder = stage.add(mkdtempSync(join(tmpdir(), "state-hub-redis-")), (path) =>
    rmSync(path, { recursive: true }),
  );
  await redis.start("--cluster-enabled", "yes", "--dir", folder);
  await redis.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
  await trouble(await hubOn(redis.url), "cluster mode");
});

test("[D20] a Sentinel: degraded, and says so", async () => {
  const redis = await OwnRedis.absent(stage);
  const folder = stage.add(mkdtempSync(join(tmpdir(), "state-hub-redis-")), (path) =>
    rmSync(path, { recursive: true }),
  );
  const file = join(folder, "sentinel.conf");
  writeFileSync(file, `port ${redis.port}\nbind 127.0.0.1\ndir ${folder}\n`);
  await redis.startAs(file, "--sentinel");
  await trouble(await hubOn(redis.url), "it is a Sentinel");
});

/** What a Redis with `tls-port` does, for those that were built without. Resolves with the port. */
async function terminateTls(redisPort: number, { key, cert }: Certificates): Promise<number> {
  const server = createServer({ key, cert }, (near) => {
    const far = connect(redisPort, "127.0.0.1");
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on("error", () => {});
      one.on("close", () => other.destroy());
      one.pipe(other);
    }
  });
  stage.add(server, (open) => open.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}
