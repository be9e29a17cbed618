import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findHub, hubsFilePath, normalizeUrl, rememberHub } from "../../cli/hubs-file.ts";

let env: { XDG_CONFIG_HOME: string };

beforeEach(() => {
  env = { XDG_CONFIG_HOME: mkdtempSync(join(tmpdir(), "state-hub-cli-")) };
});

afterEach(() => {
  rmSync(env.XDG_CONFIG_HOME, { recursive: true, force: true });
});

test("the first hub is the default, a later one only when asked", () => {
  expect(findHub(undefined, env)).toBeUndefined();
  rememberHub({ url: "http://127.0.0.1:3000", key: "k1" }, env);
  rememberHub({ url: "http://127.0.0.1:3001", key: "k2" }, env);
  expect(findHub(undefined, env)).toEqual({ url: "http://127.0.0.1:3000", key: "k1" });
  expect(findHub("http://127.0.0.1:3001/", env)).toEqual({ url: "http://127.0.0.1:3001", key: "k2" });
  rememberHub({ url: "http://127.0.0.1:3001", key: "k2", makeDefault: true }, env);
  expect(findHub(undefined, env)).toEqual({ url: "http://127.0.0.1:3001", key: "k2" });
});

test("a hub's key is replaced, and a hub may have none", () => {
  rememberHub({ url: "http://a", key: "old" }, env);
  rememberHub({ url: "http://a/", key: "new" }, env);
  expect(findHub(undefined, env)).toEqual({ url: "http://a", key: "new" });
  rememberHub({ url: "http://a" }, env);
  expect(findHub(undefined, env)).toEqual({ url: "http://a" });
});

test("the file is for its owner alone and replaced as a whole", () => {
  rememberHub({ url: "http://a", key: "k" }, env);
  const path = hubsFilePath(env);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(dirname(path)).mode & 0o777).toBe(0o700);
  rememberHub({ url: "http://b", key: "k" }, env);
  expect(readdirSync(dirname(path))).toEqual(["hubs.json"]);
  expect(Object.keys(JSON.parse(readFileSync(path, "utf8")).hubs)).toEqual(["http://a", "http://b"]);
});

test("nothing new is not written again", () => {
  rememberHub({ url: "http://a", key: "k" }, env);
  const before = readFileSync(hubsFilePath(env), "utf8");
  rememberHub({ url: "http://a", key: "k" }, env);
  expect(readFileSync(hubsFilePath(env), "utf8")).toBe(before);
});

test.each(["{", "[]", "null", '{"version": 2, "hubs": {}}', '{"version": 1}'])(
  "a broken file is named: %s",
  (content) => {
    rememberHub({ url: "http://a", key: "k" }, env);
    writeFileSync(hubsFilePath(env), content);
    expect(() => findHub(undefined, env)).toThrow(/hubs\.json cannot be used/);
  },
);

test("addresses have one spelling", () => {
  expect(normalizeUrl("HTTP://Hub.Example:80/")).toBe("http://hub.example");
  expect(normalizeUrl("https://hub.example/base/?q#h")).toBe("https://hub.example/base");
});

test("XDG_CONFIG_HOME counts when it is absolute", () => {
  expect(hubsFilePath({ XDG_CONFIG_HOME: "relative" })).toMatch(/\.config\/state-hub\/hubs\.json$/);
  expect(hubsFilePath({ XDG_CONFIG_HOME: "/x" })).toBe("/x/state-hub/hubs.json");
});
