import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import mongoose from "mongoose";
import { findMongod } from "../../server/embedded/find-mongod.ts";

const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));
const START_DEADLINE_MS = 60_000;
const STOP_DEADLINE_MS = 15_000;

/** The one key that hub and load share; it opens nothing but a hub on loopback that lives for one run. */
export const BENCH_KEY = "5b0c9a52-6a55-4e0e-8f0b-3a4d5c1e7f20";

// Everything started here is ended by its pid when this process ends, however it ends.
const children = new Set<ChildProcess>();
const folders = new Set<string>();

export function trackChild(child: ChildProcess): void {
  children.add(child);
  child.once("exit", () => children.delete(child));
}

process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(1));

export interface Running {
  readonly pid: number;
  /** Ends the process in its own way (SIGTERM) and waits; kills it if that takes too long. */
  stop(): Promise<void>;
  /** `kill -9`, and waits until the process is gone. */
  kill(): Promise<void>;
}

export interface RunningServer extends Running {
  /** `ws://127.0.0.1:PORT`. */
  readonly url: string;
}

export interface RunningMongod extends Running {
  /** A URI for the given database of this mongod. */
  uri(database: string): string;
  readonly version: string;
  readonly binary: string;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(process.env.BENCH_DIR || tmpdir(), "state-hub-bench-"));
  folders.add(folder);
  return folder;
}

/**
 * A mongod of its own: temporary folder, loopback, a replica set of one (what the embedded mongod of the hub is too).
 * The cache is fixed so that a run does not depend on the memory of the machine.
 */
export async function startMongod(): Promise<RunningMongod> {
  const { path: binary } = await findMongod({ env: process.env, say: console.error });
  const folder = temporaryFolder();
  const port = await freePort();
  const log = join(folder, "mongod.log");
  const options = ["--dbpath", folder, "--port", String(port), "--bind_ip", "127.0.0.1", "--nounixsocket"];
  const running = launch("mongod", binary, [
    ...options,
    ...["--replSet", "rs0", "--wiredTigerCacheSizeGB", "1", "--logpath", log, "--quiet"],
    ...["--setParameter", "diagnosticDataCollectionEnabled=false"],
  ]);
  const uri = (database: string) => `mongodb://127.0.0.1:${port}/${database}?replicaSet=rs0&directConnection=true`;
  const client = new mongoose.mongo.MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true`, {
    serverSelectionTimeoutMS: START_DEADLINE_MS,
  });
  try {
    const admin = client.db("admin");
    await Promise.race([client.connect(), running.failure]);
    await admin.command({ replSetInitiate: { _id: "rs0", members: [{ _id: 0, host: `127.0.0.1:${port}` }] } });
    await until("mongod is primary", async () => (await admin.command({ hello: 1 })).isWritablePrimary === true);
    const { version } = await admin.command({ buildInfo: 1 });
    const stop = async () => {
      await running.stop();
      removeFolder(folder);
    };
    return { pid: running.pid, kill: running.kill, stop, uri, version: String(version), binary };
  } finally {
    await client.close();
  }
}

function findOnPath(program: string): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => join(folder, program)).find((candidate) => existsSync(candidate));
}

export interface HubOptions {
  readonly mongodbUri: string;
  readonly port?: number;
  readonly dataDir?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A server that has been started and may not answer yet. */
export interface StartingServer extends RunningServer {
  /** Resolves when it answers; rejects when it ended by itself or takes too long. */
  readonly ready: Promise<void>;
}

/** The State Hub as an operator runs it: own process, production, its defaults. */
export function launchHub(options: HubOptions): Promise<StartingServer> {
  // For example "--cpu-prof --cpu-prof-dir=DIR": where the hub's CPU goes.
  const flags = (process.env.BENCH_HUB_FLAGS ?? "").split(" ").filter((flag) => flag !== "");
  return launchNodeServer("state-hub", join(REPOSITORY, "server/main.ts"), options, flags);
}

export function startHub(options: HubOptions): Promise<RunningServer> {
  return whenReady(launchHub(options));
}

/** The hand-written hub of support/baseline-hub.ts. */
export function startBaseline(options: HubOptions): Promise<RunningServer> {
  return whenReady(launchNodeServer("baseline", join(REPOSITORY, "bench/support/baseline-hub.ts"), options));
}

/** express and one lean mongoose read: support/bare-express.ts. */
export function startBareExpress(options: HubOptions): Promise<RunningServer> {
  return whenReady(launchNodeServer("bare-express", join(REPOSITORY, "bench/support/bare-express.ts"), options));
}

/** Socket.IO alone, without a database: support/bare-socket-io.ts. */
export function startBareSocketIo(): Promise<RunningServer> {
  const file = join(REPOSITORY, "bench/support/bare-socket-io.ts");
  return whenReady(launchNodeServer("bare-socket-io", file, { mongodbUri: "" }));
}

async function whenReady(starting: Promise<StartingServer>): Promise<RunningServer> {
  const server = await starting;
  try {
    await server.ready;
    return server;
  } catch (error) {
    await server.kill();
    throw error;
  }
}

async function launchNodeServer(
  name: string,
  file: string,
  options: HubOptions,
  flags: readonly string[] = [],
): Promise<StartingServer> {
  const port = options.port ?? (await freePort());
  const dataDir = options.dataDir ?? temporaryFolder();
  const env = {
    ...process.env,
    NODE_ENV: "production",
    PORT: String(port),
    HOST: "127.0.0.1",
    MONGODB_URI: options.mongodbUri,
    API_KEYS: BENCH_KEY,
    DATA_DIR: dataDir,
    LOG_LEVEL: "warn",
    // A hub that starts notes itself in the user's list of hubs; this one shall not.
    XDG_CONFIG_HOME: dataDir,
    ...options.env,
  };
  const running = launch(name, process.execPath, [...flags, file], env);
  const answers = until(`${name} is ready`, () => running.hasEnded() || isReady(port));
  const ready = Promise.race([answers, running.failure]);
  // A server that dies later, under load, explains the errors of the run.
  ready.then(() => running.failure.catch((error: Error) => console.error(error.message))).catch(() => {});
  const stop = async () => {
    await running.stop();
    if (options.dataDir === undefined) removeFolder(dataDir);
  };
  return { pid: running.pid, kill: running.kill, stop, url: `ws://127.0.0.1:${port}`, ready };
}

async function isReady(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/health/ready`, { signal: AbortSignal.timeout(2_000) });
  await response.body?.cancel();
  return response.status === 200;
}

export interface Launched extends Running {
  /** Rejects when the process ends before anybody asked it to; raced against everything that waits for it. */
  readonly failure: Promise<never>;
  hasEnded(): boolean;
}

export function launch(name: string, command: string, args: readonly string[], env = process.env): Launched {
  // Its output is kept out of the tables but not out of an error: the last lines say why a start failed.
  const lines: string[] = [];
  const child = spawn(...endingWithUs(command, args), { env, stdio: ["ignore", "pipe", "pipe"] });
  trackChild(child);
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      lines.push(...text.split("\n").filter((line) => line !== ""));
      lines.splice(0, Math.max(0, lines.length - 20));
    });
  }
  let isExpected = false;
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const failure = new Promise<never>((_, reject) => {
    child.once("error", (error) => reject(new Error(`${name} did not start: ${error.message}`)));
    child.once("exit", (code, signal) => {
      if (!isExpected) reject(new Error([`${name} ended by itself (${signal ?? code})`, ...lines].join("\n  ")));
    });
  });
  failure.catch(() => {});

  const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
  const end = async (signal: NodeJS.Signals, deadlineMs: number) => {
    isExpected = true;
    if (hasEnded()) return;
    child.kill(signal);
    const late = setTimeout(() => child.kill("SIGKILL"), deadlineMs);
    await exited;
    clearTimeout(late);
  };
  return {
    pid: child.pid ?? 0,
    failure,
    hasEnded,
    stop: () => end("SIGTERM", STOP_DEADLINE_MS),
    kill: () => end("SIGKILL", STOP_DEADLINE_MS),
  };
}

/** Where setpriv is there, the kernel ends a server with us even when nothing here runs any more (`kill -9`). */
function endingWithUs(command: string, args: readonly string[]): [command: string, args: string[]] {
  const setpriv = findOnPath("setpriv");
  return setpriv ? [setpriv, ["--pdeathsig", "KILL", command, ...args]] : [command, [...args]];
}

function removeFolder(folder: string): void {
  folders.delete(folder);
  rmSync(folder, { recursive: true, force: true });
}

/** Polls until the condition holds. A throwing condition counts as not yet; its last error is told at the deadline. */
export async function until(
  what: string,
  condition: () => Promise<boolean> | boolean,
  deadlineMs = START_DEADLINE_MS,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  let lastError: unknown;
  while (performance.now() < deadline) {
    try {
      if (await condition()) return;
    } catch (error) {
      lastError = error;
    }
    await sleep(20);
  }
  throw new Error(`gave up waiting until ${what} (${deadlineMs} ms)`, { cause: lastError });
}

export function readVersion(packageName: string): string {
  const manifest = join(REPOSITORY, "node_modules", packageName, "package.json");
  return String((JSON.parse(readFileSync(manifest, "utf8")) as { version: unknown }).version);
}
