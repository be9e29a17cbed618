import { describe, expect, test } from "vitest";
import { parseRedisUrl } from "../../server/redis/redis-url.ts";

describe("the URL of a Redis", () => {
  test.each<[string, object]>([
    ["redis://host", { host: "host", port: 6379, db: 0 }],
    ["redis://host/", { host: "host", port: 6379, db: 0 }],
    ["redis://127.0.0.1:6380/3", { host: "127.0.0.1", port: 6380, db: 3 }],
    ["redis://[::1]:6380", { host: "::1", port: 6380, db: 0 }],
    ["redis://:p%40ss@host", { host: "host", port: 6379, db: 0, password: "p@ss" }],
    ["redis://me:pass@host", { host: "host", port: 6379, db: 0, username: "me", password: "pass" }],
    ["rediss://host:1", { host: "host", port: 1, db: 0, tls: { servername: "host" } }],
    ["rediss://127.0.0.1:1", { host: "127.0.0.1", port: 1, db: 0, tls: {} }],
    ["rediss://[::1]:1", { host: "::1", port: 1, db: 0, tls: {} }],
  ])("%s", (text, address) => {
    expect(parseRedisUrl(text)).toEqual(address);
  });

  test.each([
    "",
    "host:6379",
    "http://host",
    "redis:host",
    "redis://",
    "redis://host:port",
    "redis://host:65536",
    "redis://host/name",
    "redis://host/0/1",
    "redis://:%zz@host",
    "redis://host?enableOfflineQueue=true",
    "redis://host#x",
    "redis://one:1,two:2",
    "redis-sentinel://host",
  ])("%j is none", (text) => {
    expect(parseRedisUrl(text)).toBeUndefined();
  });
});
