import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { StartupError } from "../startup-error.ts";
import { describeMongod, type FoundMongod, findMongod } from "./find-mongod.ts";
import { rotateLog } from "./mongod-log.ts";
import { type MongodProcess, spawnMongod } from "./mongod-process.ts";
import { assertSameRelease, readMongodRecord, writeMongodRecord } from "./mongod-record.ts";
import { keepRunning } from "./mongod-supervisor.ts";
import { freePort, isPortFree } from "./port-check.ts";
import { outlivePreviousMongod } from "./previous-mongod.ts";
import { becomePrimary } from "./replica-set.ts";

export interface EmbeddedMongod {
  /** With the database `state_hub`. */
  readonly uri: string;
  readonly version: string;
  /** Of the process that runs now; it changes when mongod had to be started again. */
  readonly pid: number;
  readonly port: number;
  /** To be called last of all, when nothing writes any more. Repeated calls wait for the same end. */
  stop(): Promise<void>;
}

export interface EmbeddedMongodOptions {
  /** Locked by the caller (data-folder.ts): what still runs on it is then nobody's. */
  readonly dataDir: string;
  readonly env: NodeJS.ProcessEnv;
  readonly say: (line: string) => void;
  /** mongod is gone for good: it ended and could not be started again five times in a row. */
  readonly onExit: (error: Error) => void;
}

/** A free port can be taken by somebody else before mongod opens it. */
const PORT_ATTEMPTS = 3;

/** Opening much data after a crash takes minutes; a mongod that takes longer than this hangs. */
const READY_TIMEOUT_MS = 300_000;

/**
 * Runs MongoDB as a child of this process on `<dataDir>/mongodb`: a replica set of one, reachable from this machine
 * only. Resolves when it accepts writes. A mongod that ends while the hub runs comes back on the same port, so that
 * clients only see a pause. Throws StartupError.
 */
export async function startEmbeddedMongod(options: EmbeddedMongodOptions): Promise<EmbeddedMongod> {
  const { dataDir, env, say, onExit } = options;
  const mongod = await findMongod({ env, say });
  say(describeMongod(mongod));
  mkdirSync(join(dataDir, "mongodb"), { recursive: true, mode: 0o700 });
  const record = readMongodRecord(dataDir);
  assertSameRelease(dataDir, record, mongod);
  await outlivePreviousMongod(dataDir, record, say);

  const { port, first } = await startOnSomePort(dataDir, mongod, record?.port, say);
  const restart = () => startOnce(dataDir, mongod, port, say);
  const supervisor = keepRunning(first, restart, say, onExit);
  return {
    uri: `mongodb://127.0.0.1:${port}/state_hub?replicaSet=rs0`,
    version: mongod.version,
    get pid() {
      return supervisor.pid;
    },
    port,
    stop: () => supervisor.stop(),
  };
}

/** The last port again, if it is free: that saves a new configuration, and bookmarked URIs stay true. */
async function startOnSomePort(
  dataDir: string,
  mongod: FoundMongod,
  lastPort: number | undefined,
  say: (line: string) => void,
): Promise<{ port: number; first: MongodProcess }> {
  const isLastFree = lastPort !== undefined && (await isPortFree("127.0.0.1", lastPort));
  let port = isLastFree ? lastPort : await freePort();
  for (let attempt = 1; ; attempt++) {
    try {
      return { port, first: await startOnce(dataDir, mongod, port, say) };
    } catch (error) {
      if (attempt === PORT_ATTEMPTS || (await isPortFree("127.0.0.1", port))) throw error;
      port = await freePort();
    }
  }
}

/** Resolves when this mongod is primary; when it ends before, rejects with its own words. */
async function startOnce(dataDir: string, mongod: FoundMongod, port: number, say: (line: string) => void) {
  rotateLog(join(dataDir, "mongod.log"));
  const child = await spawnMongod({ binary: mongod.path, dataDir, port }).catch((error: Error) => {
    throw new StartupError(`mongod could not be started (${mongod.path}): ${error.message}`);
  });
  // Before it is ready: if the hub is killed now, the next start has to recognise this one as its own.
  const started_at = new Date().toISOString();
  writeMongodRecord(dataDir, { binary: mongod.path, version: mongod.version, pid: child.pid, port, started_at });
  await untilReady(child, port, say);
  return child;
}

async function untilReady(child: MongodProcess, port: number, say: (line: string) => void): Promise<void> {
  const giveUp = new AbortController();
  const timeout = AbortSignal.timeout(READY_TIMEOUT_MS);
  const patience = setInterval(() => say("mongod is still opening its data"), 10_000);
  const endedEarly = child.ended.then((why) => {
    throw new StartupError(`mongod ended right after its start (${why})`);
  });
  const ready = becomePrimary(port, AbortSignal.any([giveUp.signal, timeout]));
  try {
    await Promise.race([ready, endedEarly]);
  } catch (error) {
    giveUp.abort();
    await ready.catch(() => undefined);
    await child.stop(say);
    if (error instanceof StartupError) throw error;
    throw new StartupError(`mongod does not become ready: ${(error as Error).message}`, { cause: error });
  } finally {
    clearInterval(patience);
    endedEarly.catch(() => undefined);
  }
}
