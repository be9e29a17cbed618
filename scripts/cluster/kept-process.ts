import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { logSize, rotateLog } from "../../server/embedded/mongod-log.ts";
import { tiedToThisProcess } from "../../server/embedded/tied-process.ts";
import { StartupError } from "../../server/startup-error.ts";

/** What to run, and how to see that it works. */
export interface Program {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Its output is appended there; beyond 10 MB one old file is kept beside it. */
  readonly logFile: string;
  readonly isReady: () => Promise<boolean>;
  /** Longer than it takes to stop in order; then it is killed. */
  readonly stopWithinMs: number;
}

export type ProcessEvent =
  | {
      readonly event: "ended";
      readonly name: string;
      readonly pid: number;
      readonly reason: string;
      readonly restart_in_ms: number;
    }
  | { readonly event: "ready"; readonly name: string; readonly pid: number; readonly took_ms: number };

/** The first restart is immediate: a single crash should cost no more than the start. */
const BACKOFF_MS = [0, 250, 500, 1_000, 2_000, 5_000] as const;

/** What ends sooner than this has not really come back. */
const STABLE_AFTER_MS = 10_000;

const FIRST_START_MS = 60_000;
const READY_POLL_MS = 50;
/** Of its output, when a start fails. */
const LAST_LINES = 8;

/**
 *   starting ──ready──▶ running ──ended by itself, or by somebody's signal──▶ pause ──▶ starting
 *      └───────────────────┴──────────────stop──▶ stopped
 */
export class KeptProcess {
  readonly name: string;
  readonly #program: Program;
  readonly #tell: (event: ProcessEvent) => void;
  readonly #stopping = new AbortController();
  #child: ChildProcess | undefined;
  #keeping: Promise<void> = Promise.resolve();

  /** @throws StartupError with the last lines of its output, when it does not become ready for the first time */
  static async start(program: Program, tell: (event: ProcessEvent) => void): Promise<KeptProcess> {
    const kept = new KeptProcess(program, tell);
    kept.#keeping = kept.#keep(await kept.#firstStart());
    return kept;
  }

  private constructor(program: Program, tell: (event: ProcessEvent) => void) {
    this.name = program.name;
    this.#program = program;
    this.#tell = tell;
  }

  /** Of the process that runs now; undefined between two of them. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** In order; what does not end in time is killed. Does not fail. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#child?.kill("SIGTERM");
    const late = setTimeout(() => this.#child?.kill("SIGKILL"), this.#program.stopWithinMs);
    await this.#keeping;
    clearTimeout(late);
  }

  async #firstStart(): Promise<ChildProcess> {
    const { name, logFile } = this.#program;
    const logFrom = logSize(logFile);
    const child = await this.#launch();
    if (await this.#becomesReady(child, AbortSignal.timeout(FIRST_START_MS))) return child;
    const why = hasEnded(child) ? `ended at its start (${endOf(child)})` : "does not become ready";
    child.kill("SIGKILL");
    await this.#untilEnd(child);
    throw new StartupError([`${name} ${why}; the end of ${logFile}:`, ...lastLines(logFile, logFrom)].join("\n  "));
  }

  async #keep(first: ChildProcess): Promise<void> {
    let startedAt = performance.now();
    let run = this.#untilEnd(first);
    for (let failures = 0; ; failures += 1) {
      const end = await run;
      if (this.#stopping.signal.aborted) return;
      if (performance.now() - startedAt > STABLE_AFTER_MS) failures = 0;
      const restart_in_ms = BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)] ?? 0;
      this.#tell({ event: "ended", name: this.name, ...end, restart_in_ms });
      await sleep(restart_in_ms, undefined, { signal: this.#stopping.signal }).catch(() => {});
      if (this.#stopping.signal.aborted) return;
      startedAt = performance.now();
      run = this.#runAgain();
    }
  }

  /** One more process, from its start to its end. Does not reject. */
  async #runAgain(): Promise<End> {
    const startedAt = performance.now();
    try {
      const child = await this.#launch();
      const watching = this.#becomesReady(child, this.#stopping.signal).then((isReady) => {
        const took_ms = Math.round(performance.now() - startedAt);
        if (isReady) this.#tell({ event: "ready", name: this.name, pid: child.pid ?? 0, took_ms });
      });
      const end = await this.#untilEnd(child);
      await watching;
      return end;
    } catch (error) {
      return { pid: 0, reason: (error as Error).message };
    }
  }

  async #launch(): Promise<ChildProcess> {
    const { command, env, logFile } = this.#program;
    rotateLog(logFile);
    const log = openSync(logFile, "a", 0o600);
    const [file = "", ...args] = [...tiedToThisProcess(), ...command];
    // Its own session: a Ctrl-C reaches only the cluster, which stops its parts in order.
    const child = spawn(file, args, { detached: true, stdio: ["ignore", log, log], ...(env ? { env } : {}) });
    closeSync(log);
    this.#child = child;
    await once(child, "spawn");
    return child;
  }

  async #becomesReady(child: ChildProcess, giveUp: AbortSignal): Promise<boolean> {
    while (!hasEnded(child) && !giveUp.aborted) {
      if (await this.#program.isReady()) return !hasEnded(child);
      await sleep(READY_POLL_MS);
    }
    return false;
  }

  async #untilEnd(child: ChildProcess): Promise<End> {
    if (!hasEnded(child)) await once(child, "exit");
    this.#child = undefined;
    return { pid: child.pid ?? 0, reason: endOf(child) };
  }
}

interface End {
  readonly pid: number;
  readonly reason: string;
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function endOf(child: ChildProcess): string {
  return child.signalCode ?? `exit code ${child.exitCode}`;
}

function lastLines(file: string, from: number): string[] {
  const text = readFileSync(file)
    .subarray(Math.min(from, logSize(file)))
    .toString();
  return text.split("\n").filter(Boolean).slice(-LAST_LINES);
}
