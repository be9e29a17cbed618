import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { mongo } from "mongoose";
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, test } from "vitest";
import { findHub } from "../../cli/hubs-file.ts";
import { followProject } from "../../client/follower.ts";
import type { Change, Session, Task } from "../../shared/entities.ts";
import { type CliRun, startCli } from "../support/cli.ts";
import { eventually } from "../support/eventually.ts";
import { freePort, isReady } from "../support/start-hub.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const bin = join(root, "bin", "state-hub.mjs");
const folder = mkdtempSync(join(tmpdir(), "state-hub-demo-"));
const dataDir = join(folder, "data");
const config = { XDG_CONFIG_HOME: join(folder, "config") };

/** One run of the demo: sessions of a project end once, so a second attempt has its own. */
let attempts = 0;
let project: string;
/** The commands work until this file is there. */
let gate: string;
let url: string;
let npm: ChildProcess | undefined;
let output = "";

/** As a person starts it; a group of its own, so that the end of the test takes everything with it. */
async function npmStart(): Promise<void> {
  const env: NodeJS.ProcessEnv = { ...process.env, ...config, PORT: new URL(url).port, DATA_DIR: dataDir };
  for (const name of ["MONGODB_URI", "API_KEYS", "NODE_ENV"]) delete env[name];
  env.MONGOD_BIN = inject("mongodBinary");
  npm = spawn("npm", ["start"], { cwd: root, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  for (const stream of [npm.stdout, npm.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  await eventually("the hub", () => isReady(url), 60_000).catch((error) => {
    throw new Error(`${(error as Error).message}\n${output}`);
  });
}

/** The hub itself, not npm around it: its data folder's lock names it. */
function hubPid(): number {
  return (JSON.parse(readFileSync(join(dataDir, "hub.lock"), "utf8")) as { pid: number }).pid;
}

async function npmEnded(): Promise<void> {
  if (npm !== undefined && npm.exitCode === null && npm.signalCode === null) await once(npm, "exit");
}

beforeAll(async () => {
  url = `http://127.0.0.1:${await freePort()}`;
  await npmStart();
});

beforeEach(() => {
  attempts += 1;
  project = `demo-${attempts}`;
  gate = join(folder, `enough-${attempts}`);
});

afterEach(() => {
  writeFileSync(gate, "");
});

afterAll(async () => {
  try {
    process.kill(hubPid(), "SIGTERM");
    await npmEnded();
  } catch {
    // Never started, or gone already.
  }
  rmSync(folder, { recursive: true, force: true });
});

function run(session: string, command: readonly string[]): Promise<CliRun> {
  const args = ["run", "--project", project, "--session", session, "--", ...command];
  return startCli(args, { env: { ...config, STATE_HUB_URL: url }, cwd: root }).ended;
}

async function rest<T>(path: string, key: string): Promise<T> {
  const response = await fetch(url + path, { headers: { "x-api-key": key } });
  expect(response.status).toBe(200);
  return (await response.json()) as T;
}

/** All changes of the project, in the order of the log, as MongoDB has them. */
async function logOf(projectId: string): Promise<Change[]> {
  const { port } = JSON.parse(readFileSync(join(dataDir, "mongod.json"), "utf8")) as { port: number };
  const client = await mongo.MongoClient.connect(`mongodb://127.0.0.1:${port}/?directConnection=true`);
  try {
    const entries = client.db("state_hub").collection<{ changes: Change[] }>("log");
    const found = await entries.find({ "_id.p": projectId }).sort({ "_id.s": 1 }).toArray();
    return found.flatMap((entry) => entry.changes);
  } finally {
    await client.close();
  }
}

test("[D2] [D4] the demo: real commands report, the hub is killed under them, nothing is lost", {
  timeout: 180_000,
}, async () => {
  const key = findHub(url, config)?.key;
  if (key === undefined) throw new Error("the first start has not told the user's list of hubs its key");
  const viewer = followProject({ url, key, projectId: project });
  const told: number[] = [];
  viewer.on("change", ({ change }) => told.push(change.seq));
  await viewer.ready;

  // Three real commands: the typecheck of this project's client, one that counts its sources, one that reports its own steps.
  const typecheck = run("typecheck", [
    ...[process.execPath, join(root, "node_modules/typescript/bin/tsc")],
    ...["--noEmit", "--project", join(root, "client/tsconfig.build.json")],
  ]);
  const count = run("count", ["sh", "-c", `while [ ! -e "${gate}" ]; do cat shared/*.ts | wc -l; sleep 0.2; done`]);
  const publish = `"${process.execPath}" "${bin}" publish --metadata "{\\"step\\": $i}" --wait 60s --json`;
  const steps = run("steps", [
    "sh",
    "-c",
    `i=0; while [ ! -e "${gate}" ]; do i=$((i+1)); ${publish} || exit 1; sleep 0.3; done`,
  ]);
  const step = () => Number(viewer.sessions.get("steps")?.metadata.step ?? 0);

  await viewer.waitFor((one) => one.sessions.size === 3 && step() >= 3, { timeoutMs: 60_000 });
  process.kill(hubPid(), "SIGKILL");
  await npmEnded();
  const stepAtKill = step();
  await viewer.waitFor((one) => one.state.name === "waiting", { timeoutMs: 30_000 });
  await npmStart();
  // Viewer and agents go on by themselves.
  await viewer.waitFor(() => step() >= stepAtKill + 3, { timeoutMs: 60_000 });
  writeFileSync(gate, "");
  const ended = { typecheck: await typecheck, count: await count, steps: await steps };

  // The programs' own exit codes and output, untouched.
  expect([ended.count.code, ended.steps.code, ended.steps.stderr]).toEqual([0, 0, ""]);
  expect(ended.count.stdout).toMatch(/^(\s*\d+\n)+$/);
  const acked = ended.steps.stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Session);
  await viewer.waitFor((one) => [...one.sessions.values()].every((session) => session.liveness === "ended"), {
    timeoutMs: 30_000,
  });

  // Every acked change is in MongoDB exactly once, in the order of versions and without a hole.
  const log = await logOf(project);
  expect(log.map((change) => change.seq)).toEqual(log.map((_, index) => index + 1));
  for (const session of ["typecheck", "count", "steps"]) {
    const versions = log.filter((change) => change.id === session).map((change) => change.version);
    expect(versions).toEqual(versions.map((_, index) => index + 1));
  }
  const logged = log.flatMap((change) => {
    const { step } = (change.patch?.metadata ?? {}) as { step?: number };
    return step === undefined ? [] : [{ step, version: change.version, seq: change.seq }];
  });
  expect(logged.map(({ step }) => step)).toEqual(acked.map(({ metadata }) => metadata.step));
  // An answer shows the session after its change. Sent again because the kill took the answer, it may show a later one.
  const isShown = logged.map(
    ({ version, seq }, index) => version === acked[index]?.version && seq === acked[index]?.seq,
  );
  const late = logged.filter((_, index) => !isShown[index]);
  expect(late.length).toBeLessThanOrEqual(1);
  for (const { step, version } of late) {
    expect([stepAtKill, stepAtKill + 1]).toContain(step);
    expect(acked.find(({ metadata }) => metadata.step === step)?.version).toBeGreaterThan(version);
  }
  expect(acked.length).toBeGreaterThanOrEqual(stepAtKill + 3);

  // The viewer was told every change once, and its mirror equals what REST shows.
  expect(told).toEqual(log.map((change) => change.seq));
  const shown = await rest<{ seq: number; sessions: Session[]; tasks: Task[] }>(`/projects/${project}/snapshot`, key);
  const byId = (a: Session, b: Session) => a.session_id.localeCompare(b.session_id);
  expect(viewer.position.seq).toBe(shown.seq);
  expect([...viewer.sessions.values()].sort(byId)).toEqual([...shown.sessions].sort(byId));
  expect(viewer.tasks.size).toBe(shown.tasks.length);
  expect(viewer.sessions.get("typecheck")).toMatchObject({
    status: ended.typecheck.code === 0 ? "COMPLETED" : "FAILED",
    metadata: { exit_code: ended.typecheck.code },
  });
  expect(viewer.sessions.get("count")).toMatchObject({ status: "COMPLETED", metadata: { exit_code: 0 } });
  viewer.close();
});
