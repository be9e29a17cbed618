import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isAlive, processStart } from "../../server/embedded/process-identity.ts";

/** What a cluster says of itself to other programs: `cluster.json` in its folder, while it runs. */
export interface ClusterFile {
  readonly version: 1;
  readonly pid: number;
  readonly started: string | undefined;
  /** The balancer's. */
  readonly url: string;
  readonly key_file: string | undefined;
  readonly ca_file: string | undefined;
  /** Whether hubs tell each other of changes through one. */
  readonly redis: boolean;
  readonly balancer: {
    readonly kind: string;
    readonly pid: number | undefined;
    readonly status_url: string;
    readonly log_file: string | undefined;
  };
  readonly hubs: readonly ClusterHub[];
}

export interface ClusterHub {
  readonly name: string;
  readonly url: string;
  /** Absent between the end of one process and the start of the next. */
  readonly pid: number | undefined;
  readonly log_file: string;
}

function fileIn(dataDir: string): string {
  return join(dataDir, "cluster.json");
}

/** Replaced as a whole, so that a reader never sees half of it. */
export function writeClusterFile(dataDir: string, content: ClusterFile): void {
  const draft = `${fileIn(dataDir)}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  renameSync(draft, fileIn(dataDir));
}

export function removeClusterFile(dataDir: string): void {
  rmSync(fileIn(dataDir), { force: true });
}

/** Undefined when no cluster runs on this folder. */
export function readClusterFile(dataDir: string): ClusterFile | undefined {
  let content: ClusterFile;
  try {
    content = JSON.parse(readFileSync(fileIn(dataDir), "utf8")) as ClusterFile;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  // After a kill -9 the file is still there, and the pid may be somebody else's.
  const isTheirs = isAlive(content.pid) && processStart(content.pid) === content.started;
  return isTheirs ? content : undefined;
}
