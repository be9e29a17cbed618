import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { mongo } from "mongoose";

const NAME = "rs0";
const POLL_MS = 20;

/**
 * Makes the mongod on this port the primary of a replica set of one, and resolves when it accepts writes. The port may
 * differ from the one in the stored configuration; `force` allows that, for nobody is primary yet. Waits without limit
 * for the port to open, because opening much data after a crash takes its time; rejects when the signal is aborted.
 */
export async function becomePrimary(port: number, signal: AbortSignal): Promise<void> {
  // A client whose first connection fails is closed for good, so the port is awaited without one.
  while (!(await isListening(port))) await sleep(POLL_MS, undefined, { signal });
  const client = new mongo.MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true`, {
    serverSelectionTimeoutMS: 2000,
    maxPoolSize: 1,
  });
  try {
    const admin = client.db("admin");
    await configure(admin, `127.0.0.1:${port}`);
    while (!(await admin.command({ hello: 1 })).isWritablePrimary) await sleep(POLL_MS, undefined, { signal });
    await shutDownQuickly(admin);
  } finally {
    await client.close();
  }
}

/** The pid and data folder of the mongod on a port, to recognise one's own; undefined when nobody answers as one. */
export async function askIdentity(port: number): Promise<{ pid: number; dbPath: string } | undefined> {
  const client = new mongo.MongoClient(`mongodb://127.0.0.1:${port}/?directConnection=true`, {
    serverSelectionTimeoutMS: 1000,
  });
  try {
    const admin = client.db("admin");
    const options = await admin.command({ getCmdLineOpts: 1 });
    const status = await admin.command({ serverStatus: 1, repl: 0, metrics: 0, locks: 0 });
    return { pid: Number(status.pid), dbPath: String(options.parsed?.storage?.dbPath) };
  } catch {
    return undefined;
  } finally {
    await client.close();
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const answer = (isOpen: boolean) => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once("connect", () => answer(true));
    socket.once("error", () => answer(false));
  });
}

async function configure(admin: mongo.Db, host: string): Promise<void> {
  const config = await storedConfig(admin);
  if (config === undefined) {
    await admin.command({ replSetInitiate: { _id: NAME, members: [{ _id: 0, host }] } });
  } else if (config.members[0]?.host !== host) {
    const member = { ...config.members[0], _id: config.members[0]?._id ?? 0, host };
    const changed = { ...config, version: config.version + 1, members: [member] };
    await admin.command({ replSetReconfig: changed, force: true });
  }
}

interface ReplicaSetConfig {
  readonly version: number;
  readonly members: readonly { readonly _id: number; readonly host: string }[];
}

async function storedConfig(admin: mongo.Db): Promise<ReplicaSetConfig | undefined> {
  try {
    return (await admin.command({ replSetGetConfig: 1 })).config as ReplicaSetConfig;
  } catch (error) {
    if ((error as mongo.MongoServerError).codeName === "NotYetInitialized") return undefined;
    throw error;
  }
}

/**
 * A signalled mongod waits up to 15 s for other members to take over, and there are none. Set at run time rather than
 * on the command line: a version that does not know the parameter would refuse to start.
 */
async function shutDownQuickly(admin: mongo.Db): Promise<void> {
  await admin.command({ setParameter: 1, shutdownTimeoutMillisForSignaledShutdown: 500 }).catch(() => undefined);
}
