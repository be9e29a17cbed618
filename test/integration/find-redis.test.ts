import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { findRedis } from "../../scripts/cluster/find-redis.ts";

let base = "";

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "state-hub-find-"));
  mkdirSync(join(base, "bin"));
});

afterEach(() => rmSync(base, { recursive: true, force: true }));

/** A program that says it is this version. */
function fake(path: string, version: string): string {
  writeFileSync(path, `#!/bin/sh\necho 'Redis server v=${version} sha=0:0'\n`);
  chmodSync(path, 0o755);
  return path;
}

/** Nothing on PATH but what a test puts there, nothing cached, and so no pip either. */
const find = (env: NodeJS.ProcessEnv = {}) =>
  findRedis({ PATH: join(base, "bin"), STATE_HUB_CACHE_DIR: join(base, "cache"), ...env }, () => {});

describe.skipIf(process.platform === "win32")("the search for a redis-server", () => {
  test("what was named comes before PATH, and is refused rather than passed over", async () => {
    const onPath = fake(join(base, "bin", "redis-server"), "7.0.15");
    const named = fake(join(base, "named"), "8.2.1");
    expect(await find()).toBe(onPath);
    expect(await find({ REDIS_SERVER_BIN: named })).toBe(named);
    await expect(find({ REDIS_SERVER_BIN: join(base, "missing") })).rejects.toThrow("missing");
    await expect(find({ REDIS_SERVER_BIN: fake(join(base, "old"), "6.2.14") })).rejects.toThrow("7.0 or newer");
  });

  test("one that is too old is passed over; a Valkey will do", async () => {
    fake(join(base, "bin", "redis-server"), "6.2.14");
    const valkey = fake(join(base, "bin", "valkey-server"), "8.1.0");
    expect(await find()).toBe(valkey);
  });

  test("when none is to be had, the error says what to do", async () => {
    await expect(find()).rejects.toThrow(
      /takes a redis-server 7\.0 or newer.*no pip.*Install redis, or set REDIS_SERVER_BIN/,
    );
  });

  test("this run has one", () => {
    expect(inject("redisServer")).toEqual({ path: expect.any(String) });
  });
});
