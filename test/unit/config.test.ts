import { describe, expect, test } from "vitest";
import { readConfig } from "../../server/config.ts";
import { StartupError } from "../../server/startup-error.ts";

const KEY = "3f0e5a52-1d0a-4c1b-9d7e-6a7b8c9d0e1f";
const NOT_RANDOM = "3f0e5a52-1d0a-1c1b-9d7e-6a7b8c9d0e1f";

describe("settings that are understood", () => {
  test.each<[Record<string, string>, object]>([
    [{}, { PORT: 3000, HOST: "127.0.0.1", DATA_DIR: "./data", LOG_LEVEL: "info", API_KEYS: [], isOpen: false }],
    [{}, { HEARTBEAT_INTERVAL_MS: 5000, LEASE_TTL_MS: 15000, LEASE_GRACE_MS: 30000, REQUEST_TIMEOUT_MS: 30000 }],
    [{ PORT: "0" }, { PORT: 0 }],
    [{ PORT: "65535" }, { PORT: 65535 }],
    [
      { PORT: "", HOST: "" },
      { PORT: 3000, HOST: "127.0.0.1" },
    ],
    [{ API_KEYS: ` ${KEY} , ,` }, { API_KEYS: [KEY], isOpen: false }],
    [
      { CORS_ALLOW_ORIGINS: "https://a.example, https://b.example" },
      { CORS_ALLOW_ORIGINS: ["https://a.example", "https://b.example"] },
    ],
    [{ MONGODB_URI: "mongodb+srv://host/db" }, { MONGODB_URI: "mongodb+srv://host/db" }],
    [{ REDIS_URL: "rediss://host" }, { REDIS_URL: "rediss://host" }],
    [{}, { REDIS_PREFIX: "state-hub" }],
    [{ NODE_ENV: "staging" }, { REDIS_PREFIX: "state-hub-staging" }],
    [{ NODE_ENV: "staging", REDIS_PREFIX: "shop:eu" }, { REDIS_PREFIX: "shop:eu" }],
    [{ HUB_ID: "hub-1" }, { HUB_ID: "hub-1" }],
    [{ DEBUG: "1" }, { LOG_LEVEL: "debug" }],
    [{ DEBUG: "TRUE", LOG_LEVEL: "warn" }, { LOG_LEVEL: "debug" }],
    [{ DEBUG: "0", LOG_LEVEL: "warn" }, { LOG_LEVEL: "warn" }],
    [{ DEBUG: "express:*" }, { LOG_LEVEL: "info" }],
    [{ NODE_ENV: "development" }, { isOpen: true }],
    [
      { NODE_ENV: "development", API_KEYS: "my-key" },
      { isOpen: false, API_KEYS: ["my-key"] },
    ],
    [{ NODE_ENV: "Development" }, { isOpen: false }],
    [{ UNKNOWN: "x" }, { PORT: 3000 }],
  ])("%j", (env, expected) => {
    expect(readConfig(env)).toMatchObject(expected);
  });

  test("a hub without a name takes the host's, in characters that fit", () => {
    expect(readConfig({}).HUB_ID).toMatch(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);
  });
});

describe("settings that keep the hub from starting", () => {
  test.each<[Record<string, string>, RegExp]>([
    [{ PORT: "65536" }, /^PORT must be at most 65535, not "65536"$/],
    [{ PORT: "-1" }, /PORT must be a whole number/],
    [{ PORT: "3000.5" }, /PORT must be a whole number/],
    [{ PORT: "3e3" }, /PORT must be a whole number/],
    [{ PORT: " 3000" }, /PORT must be a whole number/],
    [{ LOG_LEVEL: "loud" }, /LOG_LEVEL /],
    [{ HUB_ID: "a b" }, /HUB_ID must be 1 to 64 characters/],
    [{ HUB_ID: "x".repeat(65) }, /HUB_ID /],
    [{ MONGODB_URI: "http://host" }, /MONGODB_URI must begin with mongodb:\/\/ or mongodb\+srv:\/\//],
    [{ MONGODB_URI: "mongodb://" }, /MONGODB_URI /],
    [{ REDIS_URL: "host:6379" }, /REDIS_URL must begin with redis:\/\/ or rediss:\/\//],
    [
      { REDIS_URL: "redis://host:99999" },
      /^REDIS_URL must look like redis:\/\/\[user:password@\]host\[:port\]\[\/db\] of one server/,
    ],
    [{ REDIS_URL: "redis://host/name" }, /^REDIS_URL must look like/],
    [{ REDIS_PREFIX: "a b" }, /REDIS_PREFIX must be 1 to 64 characters/],
    [{ API_KEYS: "secret" }, /API_KEYS: key 1 is not a UUID/],
    [{ API_KEYS: `${KEY},${KEY}` }, /API_KEYS names a key twice/],
    [{ HEARTBEAT_INTERVAL_MS: "10000", LEASE_TTL_MS: "15000" }, /LEASE_TTL_MS must be at least twice/],
    [{ NODE_ENV: "development", HOST: "0.0.0.0" }, /HOST must be 127\.0\.0\.1/],
    [{ TRUST_PROXY: "true" }, /TRUST_PROXY must be a whole number/],
  ])("%j", (env, message) => {
    expect(() => readConfig(env)).toThrow(StartupError);
    expect(() => readConfig(env)).toThrow(message);
  });

  test("all wrong ones are named at once", () => {
    expect(() => readConfig({ PORT: "x", LEASE_TTL_MS: "1" })).toThrow(/PORT .*; LEASE_TTL_MS /);
  });

  test("[K11] a secret is never quoted", () => {
    const secrets = { MONGODB_URI: "hunter2", REDIS_URL: "hunter2", API_KEYS: "hunter2" };
    for (const [name, value] of Object.entries(secrets)) {
      try {
        readConfig({ [name]: value });
      } catch (error) {
        expect(String(error)).not.toContain("hunter2");
      }
    }
  });
});

describe("warnings", () => {
  test.each<[Record<string, string>, readonly RegExp[]]>([
    [{}, []],
    [{ API_KEYS: KEY }, []],
    [{ API_KEYS: NOT_RANDOM }, [/key 1 is not a random/]],
    [{ HOST: "0.0.0.0", API_KEYS: KEY }, [/plain HTTP on 0\.0\.0\.0/]],
    [{ NODE_ENV: "development" }, [/any API key is accepted/]],
    [{ HOST: "::1" }, []],
    [{ HOST: "127.9.9.9" }, []],
  ])("%j", (env, expected) => {
    const { warnings } = readConfig(env);
    expect(warnings).toHaveLength(expected.length);
    for (const [index, pattern] of expected.entries()) expect(warnings[index]).toMatch(pattern);
    expect(warnings.join()).not.toContain(KEY);
  });
});
