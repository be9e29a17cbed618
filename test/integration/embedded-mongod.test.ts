import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mongo } from "mongoose";
import { afterEach, beforeEach, describe, expect, inject, onTestFinished, test } from "vitest";
import { startEmbeddedMongod } from "../../server/embedded/embedded-mongod.ts";
import { isAlive } from "../../server/embedded/process-identity.ts";
import { eventually } from "../support/eventually.ts";

const ownerScript = fileURLToPath(new URL("../support/mongod-owner.ts", import.meta.url));

let dataDir = "";
let said: string[] = [];
const owners: ChildProcess[] = [];

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "state-hub-mongod-"));
  said = [];
});

afterEach(async () => {
  for (const owner of owners.splice(0)) await end(owner, "SIGTERM");
  rmSync(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 200 });
});

const env = () => ({ ...process.env, MONGOD_BIN: inject("mongodBinary") });
const say = (line: string) => said.push(line);
const unexpected = (error: Error) => said.push(`onExit: ${error.message}`);
const start = () => startEmbeddedMongod({ dataDir, env: env(), say, onExit: unexpected });

/** A process of its own that runs a mongod, like a hub. */
function spawnOwner() {
  const owner = spawn(process.execPath, [ownerScript, dataDir], {
    env: env(),
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  owners.push(owner);
  let stdout = "";
  let stderr = "";
  owner.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  owner.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const ready = async () => {
    const line = await eventually("mongod ready", () => {
      if (owner.exitCode !== null) throw new Error(stderr);
      return stdout.includes("\n") && stdout;
    });
    return JSON.parse(line) as { uri: string; pid: number; port: number };
  };
  return { owner, ready, stderr: () => stderr };
}

async function startOwner() {
  const started = spawnOwner();
  return { ...started, mongod: await started.ready() };
}

async function end(owner: ChildProcess, signal: NodeJS.Signals) {
  if (owner.exitCode !== null || owner.signalCode !== null) return;
  owner.kill(signal);
  await once(owner, "exit");
}

async function withDatabase<T>(uri: string, use: (db: mongo.Db) => Promise<T>): Promise<T> {
  const client = await mongo.MongoClient.connect(uri, {
    serverSelectionTimeoutMS: 10_000,
    writeConcern: { w: "majority" },
  });
  try {
    return await use(client.db());
  } finally {
    await client.close();
  }
}

const write = (uri: string, _id: number) =>
  withDatabase(uri, (db) => db.collection<{ _id: number }>("t").insertOne({ _id }));
const count = (uri: string) => withDatabase(uri, (db) => db.collection("t").countDocuments());

describe("the embedded mongod", () => {
  test("data, port and record survive a restart, and the port may change", async () => {
    const first = await start();
    await write(first.uri, 1);
    await first.stop();
    const record = JSON.parse(readFileSync(join(dataDir, "mongod.json"), "utf8"));
    expect(record).toMatchObject({
      version: first.version,
      pid: first.pid,
      port: first.port,
      binary: inject("mongodBinary"),
    });

    const second = await start();
    expect(second.port).toBe(first.port);
    expect(await count(second.uri)).toBe(1);
    await second.stop();
    expect(isAlive(second.pid)).toBe(false);

    writeFileSync(join(dataDir, "mongod.json"), JSON.stringify({ ...record, port: 1 }));
    const third = await start();
    expect(third.port).not.toBe(first.port);
    await write(third.uri, 2);
    expect(await count(third.uri)).toBe(2);
    await third.stop();
  });

  test("killed with -9, it comes back on the same port with its data", async () => {
    const mongod = await start();
    await write(mongod.uri, 1);
    const killed = mongod.pid;
    process.kill(killed, "SIGKILL");
    await eventually("mongod runs again", () => said.some((line) => line.startsWith("mongod runs again")));
    expect(said.join("\n")).toContain(`mongod (pid ${killed}) ended (SIGKILL`);
    expect(mongod.pid).not.toBe(killed);
    await write(mongod.uri, 2);
    expect(await count(mongod.uri)).toBe(2);
    await mongod.stop();
    expect(isAlive(mongod.pid)).toBe(false);
  });

  test("when it cannot be started again five times, onExit says why", async () => {
    let gone: Error | undefined;
    const mongod = await startEmbeddedMongod({ dataDir, env: env(), say, onExit: (error) => (gone = error) });
    // Damaged data: every restart ends at once.
    const turtle = join(dataDir, "mongodb", "WiredTiger.turtle");
    process.kill(mongod.pid, "SIGKILL");
    writeFileSync(turtle, "broken");
    const error = await eventually("mongod given up", () => gone, 25_000);
    expect(error.message).toMatch(/mongod does not stay up: mongod ended right after its start/);
    expect(said.filter((line) => line.endsWith("starting it again"))).toHaveLength(5);
    await mongod.stop();
  });

  test("another major version is refused before anything is touched", async () => {
    const mongod = await start();
    await mongod.stop();
    const file = join(dataDir, "mongod.json");
    const record = JSON.parse(readFileSync(file, "utf8"));
    writeFileSync(file, JSON.stringify({ ...record, version: "99.0.1" }));
    await expect(start()).rejects.toThrow(/written by MongoDB 99\.0\.1/);
    expect(JSON.parse(readFileSync(file, "utf8")).version).toBe("99.0.1");
  });

  test("a mongod that ends at once is explained in one line with its own words", async () => {
    const mongod = await start();
    await mongod.stop();
    writeFileSync(join(dataDir, "mongodb", "WiredTiger.turtle"), "broken");
    const error = await start().catch((reason: Error) => reason);
    expect(error).toMatchObject({ name: "StartupError" });
    expect((error as Error).message).toMatch(/^mongod ended right after its start \(.+\)$/);
  });
});

describe.skipIf(process.platform === "win32")("the embedded mongod of a hub in its own process", () => {
  test.skipIf(process.platform !== "linux")(
    "kill -9 of the hub leaves no mongod, and the next hub waits for its end",
    async () => {
      const { owner, mongod } = await startOwner();
      await write(mongod.uri, 1);
      // Frozen, so that it is certainly still there when the next hub starts.
      process.kill(mongod.pid, "SIGSTOP");
      onTestFinished(() => {
        if (isAlive(mongod.pid)) process.kill(mongod.pid, "SIGKILL");
      });
      await end(owner, "SIGKILL");
      const next = spawnOwner();
      const line = `the previous mongod (pid ${mongod.pid}) is still shutting down; waiting for it`;
      await eventually("the next hub waits", () => next.stderr().includes(line));
      process.kill(mongod.pid, "SIGCONT");
      const nextMongod = await next.ready();
      expect(isAlive(mongod.pid)).toBe(false);
      expect(await count(nextMongod.uri)).toBe(1);
      await end(next.owner, "SIGKILL");
      await eventually("no orphan", () => !isAlive(nextMongod.pid));
    },
  );

  test("Ctrl-C reaches the hub and not its mongod, which is stopped by the hub", async () => {
    const { owner, mongod, stderr } = await startOwner();
    // What a terminal does: SIGINT to the whole foreground process group.
    process.kill(-(owner.pid ?? 0), "SIGINT");
    await once(owner, "exit");
    expect(owner.exitCode).toBe(0);
    expect(stderr()).toContain("got SIGINT");
    expect(isAlive(mongod.pid)).toBe(false);
    const log = readFileSync(join(dataDir, "mongod.log"), "utf8");
    expect(log).toMatch(/Received signal.*SIGTERM|"signal":15/);
    expect(log).not.toMatch(/"signal":2\b/);
  });

  test("a second hub on the folder is refused", async () => {
    const { owner } = await startOwner();
    await expect(startOwner()).rejects.toThrow(`StartupError: another hub (pid ${owner.pid}) runs on the data folder`);
  });
});
