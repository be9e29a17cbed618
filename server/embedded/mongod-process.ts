import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { explainFromLog, logSize } from "./mongod-log.ts";
import { tiedToThisProcess } from "./tied-process.ts";

/**
 * WiredTiger's own default is half of the memory. The hub keeps the live state in its memory and reads old log entries
 * seldom, so the smallest cache that mongod accepts is enough, and a laptop keeps its memory.
 */
const CACHE_GB = "0.25";

const KILL_AFTER_MS = 10_000;

/** One running mongod. It ends by `stop`, or by itself: then `ended` says why in one line. */
export interface MongodProcess {
  readonly pid: number;
  readonly ended: Promise<string>;
  hasEnded(): boolean;
  stop(say: (line: string) => void): Promise<void>;
}

export interface MongodProcessOptions {
  readonly binary: string;
  readonly dataDir: string;
  readonly port: number;
}

/** Rejects only when the process cannot be created at all; a mongod that ends at once is seen in `ended`. */
export async function spawnMongod({ binary, dataDir, port }: MongodProcessOptions): Promise<MongodProcess> {
  const logFile = join(dataDir, "mongod.log");
  const logFrom = logSize(logFile);
  // stdout and stderr go into the same file: there the dynamic linker complains, before mongod has a log.
  const log = openSync(logFile, "a", 0o600);
  const [file, ...args] = [...tiedToThisProcess(), binary, ...mongodArguments(dataDir, port, logFile)];
  // Detached means its own session: a Ctrl-C or a closed terminal reaches the hub, which stops mongod last.
  const child = spawn(file ?? binary, args, { detached: true, stdio: ["ignore", log, log] });
  closeSync(log);
  await spawned(child);
  return toProcess(child, () => explainFromLog(logFile, logFrom));
}

function mongodArguments(dataDir: string, port: number, logFile: string): string[] {
  return [
    ...["--dbpath", join(dataDir, "mongodb")],
    ...["--port", String(port)],
    // No authentication, so nobody but this machine may reach it, and by nothing but this port.
    ...["--bind_ip", "127.0.0.1"],
    ...(process.platform === "win32" ? [] : ["--nounixsocket"]),
    // Majority, retryable writes and an oplog need a replica set, even of one.
    ...["--replSet", "rs0"],
    ...["--wiredTigerCacheSizeGB", CACHE_GB],
    ...["--setParameter", "diagnosticDataCollectionEnabled=false"],
    ...["--logpath", logFile, "--logappend", "--quiet"],
  ];
}

function spawned(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", reject);
  });
}

function toProcess(child: ChildProcess, explain: () => string): MongodProcess {
  const pid = child.pid ?? 0;
  let hasEnded = false;
  // A hub that ends without stopping it (an uncaught exception) takes it along also where the kernel does not.
  const onProcessExit = () => child.kill("SIGTERM");
  process.once("exit", onProcessExit);
  const ended = new Promise<string>((resolve) => {
    child.once("exit", (code, signal) => {
      hasEnded = true;
      process.off("exit", onProcessExit);
      resolve(describeEnd(code, signal, explain));
    });
  });
  const stop = async (say: (line: string) => void) => {
    child.kill("SIGTERM");
    const timer = setTimeout(() => {
      say(
        `mongod (pid ${pid}) has not stopped within ${KILL_AFTER_MS / 1000} s; killing it (its journal keeps the data)`,
      );
      child.kill("SIGKILL");
    }, KILL_AFTER_MS);
    await ended;
    clearTimeout(timer);
  };
  return { pid, ended, hasEnded: () => hasEnded, stop };
}

function describeEnd(code: number | null, signal: NodeJS.Signals | null, explain: () => string): string {
  if (signal === "SIGILL") return "SIGILL: the processor lacks instructions it needs (AVX)";
  if (signal === "SIGKILL") return "SIGKILL: killed by hand, or by the system for want of memory";
  return `${signal ?? `exit code ${code}`}: ${explain()}`;
}
