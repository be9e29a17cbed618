import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type ClusterFile, readClusterFile } from "../../scripts/cluster/cluster-file.ts";
import { ROOT } from "./documents.ts";
import { eventually } from "./eventually.ts";
import type { Json } from "./wire.ts";

const START_MS = 90_000;
const STOP_MS = 45_000;

/** `npm run cluster` as a person starts it, on a folder and ports of its own. */
export class ClusterProcess {
  /** What it said on stdout, a line of JSON each. */
  readonly events: Json[] = [];
  readonly dataDir: string;
  readonly #child: ChildProcess;
  #output = "";

  static async start(
    args: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): Promise<ClusterProcess> {
    const dataDir = mkdtempSync(join(tmpdir(), "state-hub-cluster-"));
    const command = ["run", "--silent", "cluster", "--", "--port", "0", "--json", "--data", dataDir, ...args];
    const child = spawn("npm", command, {
      cwd: ROOT,
      // A group of its own, as a terminal gives to a command: Ctrl-C reaches all of it.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    const cluster = new ClusterProcess(child, dataDir);
    try {
      await eventually("the cluster has started", () => cluster.#hasStarted(), START_MS);
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  private constructor(child: ChildProcess, dataDir: string) {
    this.#child = child;
    this.dataDir = dataDir;
    if (child.stdout === null || child.stderr === null) throw new Error("the cluster has no output");
    createInterface({ input: child.stdout }).on("line", (line) => this.events.push(JSON.parse(line)));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#output += text;
    });
  }

  /** What it said to people. */
  get output(): string {
    return this.#output;
  }

  get description(): ClusterFile {
    const file = readClusterFile(this.dataDir);
    if (file === undefined) throw new Error(`the cluster does not run:\n${this.#output}`);
    return file;
  }

  get url(): string {
    return this.description.url;
  }

  get key(): string {
    const { key_file } = this.description;
    if (key_file === undefined) throw new Error("its keys are those of the environment");
    return readFileSync(key_file, "utf8").trim();
  }

  /** Ctrl-C, and the wait for the end; the folder is gone then. What was in order the cluster said itself: npm ends by the signal. */
  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exit = once(this.#child, "exit");
      this.#signal("SIGINT");
      const late = setTimeout(() => this.#signal("SIGKILL"), STOP_MS);
      await exit;
      clearTimeout(late);
    }
    rmSync(this.dataDir, { recursive: true, force: true });
  }

  /** For a process that ends before it could stop the cluster: asks it to, and does not wait. */
  abandon(): void {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#signal("SIGTERM");
  }

  #hasStarted(): boolean {
    if (this.#child.exitCode !== null) throw new Error(`the cluster ended at its start:\n${this.#output}`);
    return this.events.some(({ event }) => event === "started");
  }

  #signal(signal: NodeJS.Signals): void {
    try {
      process.kill(-(this.#child.pid ?? 0), signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}
