import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mongo } from "mongoose";
import type { TestProject } from "vitest/node";
import { findRedis } from "../../scripts/cluster/find-redis.ts";
import { startEmbeddedMongod } from "../../server/embedded/embedded-mongod.ts";
import { findMongod } from "../../server/embedded/find-mongod.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** A MongoDB for tests without a database name; see database.ts. */
    mongodbUri: string;
    /** Of the names of all databases of this run. */
    databasePrefix: string;
    /** The binary behind it, for tests that run a mongod of their own. */
    mongodBinary: string;
    /** A redis-server for tests that need one; where none is to be had they fail with the problem. */
    redisServer: { readonly path: string } | { readonly path?: undefined; readonly problem: string };
  }
}

const COMPILE_CACHE = fileURLToPath(new URL("../../node_modules/.cache/state-hub", import.meta.url));

/** One mongod for the whole run; each test file has its own database in it. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // For the many hubs and commands that tests start: half of a start is compiling.
  process.env.NODE_COMPILE_CACHE ??= COMPILE_CACHE;
  const binary = await findMongod({ env: process.env, say });
  project.provide("mongodBinary", binary.path);
  project.provide(
    "redisServer",
    await findRedis(process.env, say).then(
      (path) => ({ path }),
      (error: Error) => ({ problem: error.message }),
    ),
  );

  const databasePrefix = `test_${randomBytes(4).toString("hex")}_`;
  project.provide("databasePrefix", databasePrefix);
  const external = process.env.STATE_HUB_TEST_MONGODB_URI;
  if (external) {
    project.provide("mongodbUri", external);
    return () => dropDatabases(external, databasePrefix);
  }
  const dataDir = mkdtempSync(join(tmpdir(), "state-hub-test-"));
  const mongod = await startEmbeddedMongod({
    dataDir,
    env: { ...process.env, MONGOD_BIN: binary.path },
    say: () => {},
    onExit: (error) => say(error.message),
  });
  project.provide("mongodbUri", `mongodb://127.0.0.1:${mongod.port}/?replicaSet=rs0`);
  return async () => {
    await mongod.stop();
    rmSync(dataDir, { recursive: true, force: true });
  };
}

async function dropDatabases(uri: string, prefix: string): Promise<void> {
  const client = await mongo.MongoClient.connect(uri);
  try {
    const { databases } = await client.db("admin").admin().listDatabases({ nameOnly: true });
    const ours = databases.filter(({ name }) => name.startsWith(prefix));
    for (const { name } of ours) await client.db(name).dropDatabase();
  } finally {
    await client.close();
  }
}

/** To stderr: the last line of stdout belongs to the reporter. */
function say(line: string): void {
  console.error(line);
}
