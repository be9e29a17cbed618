import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mongo } from "mongoose";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { readConfig } from "../../server/config.ts";
import { freePort } from "../../server/embedded/port-check.ts";
import { connectMongo } from "../../server/mongo/connection.ts";
import { createLogger } from "../../server/observability/logger.ts";
import { StartupError } from "../../server/startup-error.ts";
import { eventually } from "../support/eventually.ts";
import { attemptStart } from "../support/start-attempt.ts";
import { startHub } from "../support/start-hub.ts";
import { Stage } from "../support/test-hub.ts";

const stage = new Stage();
afterAll(stage.clear);

const KEY = "3f0e1c52-6f0e-4d52-9c11-0f8e6a0c2b11";
const PASSWORD = "s3cret-p4ss";

/** A start that is refused with one line on stderr, exit code 1, no stack and no secret; returns the line. */
async function refusedLine(env: Readonly<Record<string, string>>): Promise<string> {
  const attempt = await attemptStart(stage, { PORT: "0", API_KEYS: KEY, ...env });
  expect(attempt.stderr.split("\n")).toHaveLength(1);
  expect(attempt.stderr).toMatch(/^state-hub: \S/);
  expect(attempt.stderr).not.toMatch(/ {4}at |Error:|internal error|undefined|\[object/);
  expect(attempt.code).toBe(1);
  for (const secret of [PASSWORD, env.API_KEYS || KEY, "redis-s3cret"]) {
    expect(attempt.stderr + attempt.stdout).not.toContain(secret);
  }
  return attempt.stderr.slice("state-hub: ".length);
}

// At once, for they wait more than they work; a name server that does not answer takes its time.
describe.concurrent("MongoDB that cannot be reached", { timeout: 60_000 }, () => {
  const login = `user:${PASSWORD}`;

  const malformed = /^MONGODB_URI is malformed \(.+\); expected mongodb:\/\/user:password@host:27017\/NAME$/;

  test("a malformed MONGODB_URI", async () => {
    expect(await refusedLine({ MONGODB_URI: `mongodb://${login}@localhost/db?nonsense=1` })).toMatch(malformed);
  });

  test.each([
    ["two @", `mongodb://${login}@x@host/db`],
    ["a slash in the password", `mongodb://user:a/${PASSWORD}@host/db`],
    ["no host", `mongodb://${login}@/db`],
    ["no such port", `mongodb://${login}@localhost:99999/db`],
    ["a half percent escape", `mongodb://user:${PASSWORD}%zz@localhost/db`],
    ["an SRV name with a port", `mongodb+srv://${login}@cluster.example.test:27017/db`],
    ["an unknown authMechanism", `mongodb://${login}@localhost/db?authMechanism=NOPE`],
  ])("a malformed MONGODB_URI: %s", async (_what, uri) => {
    expect(await connectError(uri)).toMatch(malformed);
  });

  test("an unknown host", async () => {
    const line = await refusedLine({ MONGODB_URI: `mongodb://${login}@no-such-host.invalid:27017/db` });
    expect(line).toBe("the host no-such-host.invalid:27017 of MONGODB_URI is not known; check its name");
  });

  test("a failed SRV lookup", async () => {
    const line = await refusedLine({ MONGODB_URI: `mongodb+srv://${login}@no.such.invalid/db` });
    expect(line).toMatch(/^the SRV record of no\.such\.invalid cannot be looked up; check the name in MONGODB_URI/);
  });

  test("a port where nothing listens", async () => {
    const port = await freePort();
    const line = await refusedLine({ MONGODB_URI: `mongodb://${login}@127.0.0.1:${port}/db` });
    expect(line).toBe(`nothing listens at 127.0.0.1:${port}; is MongoDB running there?`);
  });

  test("an address that takes connections and never answers", async () => {
    const port = await listen(createServer(() => {}));
    const line = await refusedLine({ MONGODB_URI: `mongodb://${login}@127.0.0.1:${port}/db` });
    expect(line).toMatch(
      new RegExp(`^MongoDB at 127.0.0.1:${port} does not answer .+; a firewall or an address allow list\\?$`),
    );
    const ofSet = await connectError(`mongodb://${login}@127.0.0.1:${port}/db?replicaSet=rs0`);
    expect(ofSet).toMatch(/does not answer .+; a firewall or an address allow list\?$/);
  });

  test("a replica set of another name", async () => {
    const uri = new URL(inject("mongodbUri"));
    uri.searchParams.set("replicaSet", "other");
    expect(await connectError(uri.href)).toBe(`MongoDB at ${uri.host} is not of the replicaSet that MONGODB_URI names`);
  });

  async function connectError(uri: string): Promise<string> {
    const settings = { uri, maxPoolSize: 1, minPoolSize: 0 };
    const log = createLogger("silent", { isTerminal: false });
    const events = { onPrimaryChange: () => {} };
    const error = await connectMongo(settings, log, events).catch((reason: unknown) => reason);
    if (!(error instanceof StartupError)) throw new Error("connected, or failed in another way", { cause: error });
    expect(error.message).not.toContain(PASSWORD);
    expect(error.message).not.toContain("\n");
    return error.message;
  }
});

describe("MongoDB with users", () => {
  const lasting = new Stage();
  let port = 0;
  afterAll(lasting.clear);

  beforeAll(async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "state-hub-auth-"));
    lasting.add(dataDir, () => rmSync(dataDir, { recursive: true, force: true }));
    mkdirSync(join(dataDir, "db"));
    port = await freePort();
    const args = ["--auth", "--dbpath", join(dataDir, "db"), "--port", String(port), "--bind_ip", "127.0.0.1"];
    const child = spawn(inject("mongodBinary"), [...args, "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"], {
      stdio: "ignore",
    });
    lasting.add(child, async () => {
      child.kill("SIGKILL");
      await once(child, "close");
    });
    const asAdmin = (login: string, work: (admin: mongo.Db) => Promise<unknown>) =>
      eventually("mongod is up", async () => {
        const uri = `mongodb://${login}127.0.0.1:${port}/admin?directConnection=true`;
        const client = await mongo.MongoClient.connect(uri, { serverSelectionTimeoutMS: 500 }).catch(() => undefined);
        if (client === undefined) return false;
        await work(client.db("admin"));
        await client.close();
        return true;
      });
    // Until the first user is there, a local connection may make it.
    await asAdmin("", (admin) => admin.command({ createUser: "root", pwd: "root", roles: ["root"] }));
    const roles = [{ role: "readWrite", db: "theirs" }];
    await asAdmin("root:root@", (admin) => admin.command({ createUser: "user", pwd: PASSWORD, roles }));
  });

  test("a wrong password", async () => {
    const line = await refusedLine({
      MONGODB_URI: `mongodb://user:not-${PASSWORD}@127.0.0.1:${port}/theirs?authSource=admin`,
    });
    const refused = `MongoDB at 127.0.0.1:${port} refuses the credentials of MONGODB_URI; check user, password and authSource`;
    expect(line).toBe(refused);
  });

  test("no user at all, and a user without rights on the database", async () => {
    const refused = `MongoDB at 127.0.0.1:${port} does not let this user read and write the database; check user and roles`;
    expect(await refusedLine({ MONGODB_URI: `mongodb://127.0.0.1:${port}/theirs` })).toBe(refused);
    const login = `user:${PASSWORD}`;
    expect(await refusedLine({ MONGODB_URI: `mongodb://${login}@127.0.0.1:${port}/other?authSource=admin` })).toBe(
      refused,
    );
  });
});

describe("a database that is not ours", () => {
  async function withDatabase(work: (db: mongo.Db) => Promise<unknown>): Promise<string> {
    const { uri } = stage.database();
    const client = await mongo.MongoClient.connect(uri);
    await work(client.db());
    await client.close();
    return uri;
  }

  test("a collection sessions that no hub wrote", async () => {
    const uri = await withDatabase((db) => db.collection("sessions").insertOne({ user: "somebody" }));
    expect(await refusedLine({ MONGODB_URI: uri })).toMatch(
      /^database \S+ has a collection "sessions" that no State Hub wrote; name another database in MONGODB_URI/,
    );
  });

  test("another layout", async () => {
    const uri = await withDatabase((db) =>
      db.collection<{ _id: string; value: number }>("settings").insertOne({ _id: "schema_version", value: 99 }),
    );
    expect(await refusedLine({ MONGODB_URI: uri })).toMatch(
      /has layout 99, this hub knows \d+; use a matching version$/,
    );
  });

  test("an index that is missing on a filled collection is named with the command that builds it", async () => {
    const { uri } = stage.database();
    const hub = await startHub({ mongodbUri: uri });
    stage.add(hub, () => hub.stop());
    const body = JSON.stringify({ session_id: "s", machine_id: "m" });
    const headers = { "X-Api-Key": hub.key, "Content-Type": "application/json" };
    await fetch(`${hub.url}/sessions`, { method: "POST", headers, body });
    await hub.stop();
    const client = await mongo.MongoClient.connect(uri);
    await client.db().collection("sessions").dropIndexes();
    await client.close();
    expect(await refusedLine({ MONGODB_URI: uri })).toMatch(
      /^collection sessions lacks \d+ of its indexes; build them in mongosh first: db\.sessions\.createIndex\(\{.+\)$/,
    );
  });

  test("a database name that MongoDB does not accept", async () => {
    const uri = new URL(inject("mongodbUri"));
    uri.pathname = "/a$b";
    expect(await refusedLine({ MONGODB_URI: uri.href })).toMatch(/^MONGODB_URI /);
  });
});

describe("something in the way", () => {
  test("a taken port names its owner and suggests a free one", async () => {
    const port = await listen(createServer());
    const line = await refusedLine({ PORT: String(port), MONGODB_URI: "mongodb://127.0.0.1:1/db" });
    const owner = process.platform === "linux" ? `\\S.* \\(pid ${process.pid}\\)` : ".+";
    expect(line).toMatch(new RegExp(`^port ${port} is in use by ${owner}; set PORT=\\d+$`));
  });

  test("another hub on the same data folder", async () => {
    const { uri } = stage.database();
    const dataDir = mkdtempSync(join(tmpdir(), "state-hub-shared-"));
    stage.add(dataDir, () => rmSync(dataDir, { recursive: true, force: true }));
    // Without API_KEYS the hub keeps its key in the folder.
    const hub = await startHub({ mongodbUri: uri, env: { DATA_DIR: dataDir, API_KEYS: "" } });
    stage.add(hub, () => hub.stop());
    const attempt = await attemptStart(stage, { PORT: "0", DATA_DIR: dataDir, MONGODB_URI: uri });
    await hub.stop();
    expect(attempt).toMatchObject({ code: 1 });
    expect(attempt.stderr).toMatch(
      new RegExp(`^state-hub: another hub \\(pid ${hub.pid}\\) runs on the data folder \\S+; stop it or set DATA_DIR$`),
    );
  });

  test("a data folder that cannot be made", async () => {
    const line = await refusedLine({ DATA_DIR: "/dev/null/data" });
    expect(line).toMatch(
      /^the data folder \/dev\/null\/data cannot be used: .+; set DATA_DIR to a folder that can be written$/,
    );
  });

  test("an address of another machine", async () => {
    const line = await refusedLine({ HOST: "192.0.2.1", PORT: "39877" });
    expect(line).toMatch(/^HOST=192\.0\.2\.1 is not an address of this machine/);
  });
});

describe("settings", () => {
  const integers = ["PORT", "MONGODB_MAX_POOL_SIZE", "MONGODB_MIN_POOL_SIZE", "MONGODB_SLOW_MS", "REQUEST_TIMEOUT_MS"];
  const durations = ["HEARTBEAT_INTERVAL_MS", "LEASE_TTL_MS", "LEASE_GRACE_MS", "TRUST_PROXY"];

  test.each([
    ...[...integers, ...durations].flatMap((name) =>
      ["x", "-1", "1.5", "1e3", " 1", "99999999999", "0x10", "NaN"].map((value): [string, string] => [name, value]),
    ),
    ["PORT", "65536"],
    ["MONGODB_MAX_POOL_SIZE", "0"],
    ["REQUEST_TIMEOUT_MS", "0"],
    ["HEARTBEAT_INTERVAL_MS", "99"],
    ["TRUST_PROXY", "11"],
    ["TRUST_PROXY", "true"],
    ["LOG_LEVEL", "loud"],
    ["LOG_LEVEL", "INFO"],
    ["HUB_ID", "has a space"],
    ["HUB_ID", "a/b"],
    ["HUB_ID", "x".repeat(65)],
    ["MONGODB_URI", "localhost:27017"],
    ["MONGODB_URI", "mongodb://"],
    ["REDIS_URL", "http://localhost"],
    ["REDIS_URL", "localhost:6379"],
    ["CORS_ALLOW_ORIGINS", "https://app.example/"],
    ["CORS_ALLOW_ORIGINS", "https://app.example,app.example"],
    ["CORS_ALLOW_ORIGINS", "https://app.example:443"],
    ["CORS_ALLOW_ORIGINS", "null"],
    ["DEBUG_UNSAFE", "true"],
  ])("%s=%s is refused with its name", (name, value) => {
    const error = configError({ [name]: value });
    expect(error).toMatch(new RegExp(`^${name} must be`));
    expect(error).not.toMatch(/[\n\\]/);
  });

  test("every wrong setting is told at once, in one line, and a secret's value is not shown", async () => {
    const line = await refusedLine({
      PORT: "http",
      LOG_LEVEL: "loud",
      MONGODB_URI: `http://user:${PASSWORD}@host/db`,
      REDIS_URL: "http://:redis-s3cret@host",
    });
    expect(line).toMatch(
      /^PORT must be a whole number, not "http"; MONGODB_URI must begin .+; REDIS_URL must .+; LOG_LEVEL must /,
    );
  });

  test("API_KEYS that are no UUIDs or that name one twice", async () => {
    const line = await refusedLine({ API_KEYS: `${KEY},hunter2-s3cret` });
    expect(line).toBe("API_KEYS: key 2 is not a UUID");
    expect(configError({ API_KEYS: `${KEY},${KEY}` })).toBe("API_KEYS names a key twice");
  });

  test("an empty variable counts as unset", () => {
    const empty = Object.fromEntries(
      [...integers, ...durations, "LOG_LEVEL", "HUB_ID", "REDIS_URL"].map((name) => [name, ""]),
    );
    expect(readConfig({ ...empty, API_KEYS: KEY })).toMatchObject({ PORT: 3000, LOG_LEVEL: "info" });
  });

  test("a lease shorter than two heartbeats", () => {
    const error = configError({ LEASE_TTL_MS: "9999", HEARTBEAT_INTERVAL_MS: "5000" });
    expect(error).toBe("LEASE_TTL_MS must be at least twice HEARTBEAT_INTERVAL_MS");
  });

  test.each(["0.0.0.0", "::", "192.168.1.2", "hub.example"])("[K6] development without keys on %s", async (host) => {
    const error = configError({ NODE_ENV: "development", API_KEYS: "", HOST: host });
    expect(error).toMatch(/^NODE_ENV=development without API_KEYS accepts any key, so HOST must be 127\.0\.0\.1/);
  });

  test("[K6] development without keys beyond loopback does not start", async () => {
    const line = await refusedLine({ NODE_ENV: "development", API_KEYS: "", HOST: "0.0.0.0" });
    expect(line).toMatch(/^NODE_ENV=development without API_KEYS/);
  });

  test.each(["Development", "dev", "DEVELOPMENT", " development", "test"])("[K6] NODE_ENV=%j is not open", (value) => {
    expect(readConfig({ NODE_ENV: value }).isOpen).toBe(false);
  });

  function configError(env: Readonly<Record<string, string>>): string {
    try {
      readConfig({ API_KEYS: KEY, ...env });
    } catch (error) {
      if (error instanceof StartupError) return error.message;
      throw error;
    }
    throw new Error("accepted");
  }
});

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  stage.add(server, () => server.close());
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}
