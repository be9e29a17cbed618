import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { eventually } from "./eventually.ts";

/** One takes a second; many that start at once on a busy machine have been seen to take 30. */
const START_MS = 60_000;

const root = fileURLToPath(new URL("../..", import.meta.url));

interface HubSettings {
  /** Database included. */
  readonly mongodbUri: string;
  readonly port?: number;
  readonly key?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Another checkout of this project than the one that the tests are in. */
  readonly checkout?: string;
  /** A module that Node loads before the hub. */
  readonly preload?: string;
}

/** A hub in a process of its own, as a person would start it, on a MongoDB that outlives it. */
export interface HubProcess {
  readonly url: string;
  readonly key: string;
  readonly port: number;
  readonly pid: number;
  /** What it has printed so far. */
  output(): string;
  /** Its exit code, or the signal that killed it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
  /** Sends the signal and waits for the end. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** In order, unless it has ended already. */
  stop(): Promise<void>;
}

/** Ready when it settles. With the same port, key and database it is the same hub, started again. */
export async function startHub(settings: HubSettings): Promise<HubProcess> {
  const port = settings.port ?? (await freePort());
  const key = settings.key ?? randomUUID();
  const preload = settings.preload === undefined ? [] : ["--import", settings.preload];
  const child = spawn(process.execPath, [...preload, "server/main.ts"], {
    cwd: settings.checkout ?? root,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      NODE_ENV: "production",
      PORT: String(port),
      HOST: "127.0.0.1",
      API_KEYS: key,
      MONGODB_URI: settings.mongodbUri,
      MONGODB_MIN_POOL_SIZE: "2",
      // All clients of a test are one address.
      MAX_FAILED_KEYS_PER_MINUTE: "0",
      // The user's own list of hubs is not for tests.
      XDG_CONFIG_HOME: "/dev/null",
      ...settings.env,
    },
  });
  const ended = once(child, "exit").then(([code, signal]) => code ?? signal);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const url = `http://127.0.0.1:${port}`;
  await eventually(
    `a hub at ${url}`,
    async () => {
      if (hasEnded(child)) throw new Error(`the hub ended at its start:\n${output}`);
      return await isReady(url);
    },
    START_MS,
  ).catch((error) => {
    child.kill("SIGKILL");
    throw new Error(`${(error as Error).message}\n${output}`);
  });
  const kill = async (signal: NodeJS.Signals = "SIGKILL") => {
    if (hasEnded(child)) return;
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
  };
  return { url, key, port, pid: child.pid ?? 0, ended, output: () => output, kill, stop: () => kill("SIGTERM") };
}

/** Free just now; a test gives it to a process at once. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

export async function isReady(url: string): Promise<boolean> {
  return await fetch(`${url}/health/ready`).then(
    (response) => response.ok,
    () => false,
  );
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
