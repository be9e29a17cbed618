import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { assertSameRelease, readMongodRecord, writeMongodRecord } from "../../server/embedded/mongod-record.ts";

let dataDir = "";

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "state-hub-record-"));
  mkdirSync(join(dataDir, "mongodb"));
});

afterEach(() => rmSync(dataDir, { recursive: true }));

const mongod = (version: string) => ({
  path: "/opt/mongod",
  version,
  major: Number(version.split(".")[0]),
  source: "PATH" as const,
  bytes: 1,
});
const record = { binary: process.execPath, version: "6.0.5", pid: 1, port: 2, started_at: "" };
const writeData = () => writeFileSync(join(dataDir, "mongodb", "WiredTiger"), "");

test("a written record is read back, and a damaged one is as none", () => {
  writeMongodRecord(dataDir, record);
  expect(readMongodRecord(dataDir)).toEqual(record);
  writeFileSync(join(dataDir, "mongod.json"), "{");
  expect(readMongodRecord(dataDir)).toBeUndefined();
});

test("the same major version opens the data", () => {
  writeData();
  expect(() => assertSameRelease(dataDir, record, mongod("6.0.19"))).not.toThrow();
});

test("another major version is refused with the binary to keep and the way to upgrade", () => {
  writeData();
  const refused = () => assertSameRelease(dataDir, record, mongod("8.0.4"));
  expect(refused).toThrow(/written by MongoDB 6\.0\.5, but found was MongoDB 8\.0\.4/);
  expect(refused).toThrow(`set MONGOD_BIN=${process.execPath}`);
  expect(refused).toThrow(/point MONGOD_BIN to MongoDB 7, .*setFeatureCompatibilityVersion: "7\.0"/);
});

test("an older major version is refused without a way to upgrade", () => {
  writeData();
  expect(() => assertSameRelease(dataDir, { ...record, version: "8.0.4" }, mongod("6.0.5"))).toThrow(/not possible/);
});

test("a record without data, left by a first start that failed, refuses nothing", () => {
  expect(() => assertSameRelease(dataDir, record, mongod("8.0.4"))).not.toThrow();
});
