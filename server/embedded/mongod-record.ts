import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StartupError } from "../startup-error.ts";
import { describeMongod, type FoundMongod } from "./find-mongod.ts";
import { majorOf } from "./mongod-version.ts";

/** `<data folder>/mongod.json`: what last ran on the data. The pid may be long gone. */
export interface MongodRecord {
  readonly binary: string;
  readonly version: string;
  readonly pid: number;
  readonly port: number;
  readonly started_at: string;
}

export function readMongodRecord(dataDir: string): MongodRecord | undefined {
  try {
    return JSON.parse(readFileSync(recordFile(dataDir), "utf8")) as MongodRecord;
  } catch {
    return undefined; // None yet, or damaged: the data itself is what counts, and mongod checks that.
  }
}

export function writeMongodRecord(dataDir: string, record: MongodRecord): void {
  const draft = `${recordFile(dataDir)}.new`;
  writeFileSync(draft, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
  renameSync(draft, recordFile(dataDir));
}

/**
 * MongoDB opens data of its own major version and, when prepared, of the one before it. A mongod that is newer because
 * the system was updated would fail with a message that few understand, or worse, convert the data for good.
 */
export function assertSameRelease(dataDir: string, record: MongodRecord | undefined, mongod: FoundMongod): void {
  const hasData = existsSync(join(dataDir, "mongodb", "WiredTiger"));
  if (record === undefined || !hasData || majorOf(record.version) === mongod.major) return;
  throw new StartupError(refusal(dataDir, record, mongod));
}

function refusal(dataDir: string, record: MongodRecord, mongod: FoundMongod): string {
  const oldMajor = majorOf(record.version);
  const old = existsSync(record.binary) ? record.binary : `the path of a mongod ${oldMajor}.x`;
  const keep = `To keep the version, set MONGOD_BIN=${old}.`;
  const what = `the data in ${dataDir} was written by MongoDB ${record.version}, but found was ${describeMongod(mongod)}.`;
  if (mongod.major < oldMajor) return `${what} ${keep} Going back to an older version is not possible.`;
  const upgrade =
    "To upgrade, which goes one major version at a time: stop the hub, copy the data folder, point MONGOD_BIN to " +
    `MongoDB ${oldMajor + 1}, delete ${recordFile(dataDir)} and start; then run in mongosh ` +
    `db.adminCommand({setFeatureCompatibilityVersion: "${oldMajor + 1}.0", confirm: true})`;
  return `${what} ${keep} ${upgrade}${mongod.major > oldMajor + 1 ? ", and so on for each further one." : "."}`;
}

function recordFile(dataDir: string): string {
  return join(dataDir, "mongod.json");
}
