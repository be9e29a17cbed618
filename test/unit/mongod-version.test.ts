import { expect, test } from "vitest";
import { majorOf, parseMongodVersion } from "../../server/embedded/mongod-version.ts";

test("the version of release and pre-release builds is read", () => {
  expect(parseMongodVersion("db version v6.0.5\nBuild Info: {}")).toBe("6.0.5");
  expect(parseMongodVersion("db version v8.3.0-rc1\nBuild Info: {}")).toBe("8.3.0-rc1");
});

test("another program's --version is not mistaken for mongod's", () => {
  expect(parseMongodVersion("v24.21.0")).toBeUndefined();
  expect(parseMongodVersion("mongos version v6.0.5")).toBeUndefined();
});

test("the major version is a number, so 10 comes after 9", () => {
  expect(majorOf("10.0.1")).toBeGreaterThan(majorOf("9.0.0"));
});
