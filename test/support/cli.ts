import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const bin = fileURLToPath(new URL("../../bin/state-hub.mjs", import.meta.url));

export interface CliRun {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliProcess {
  readonly child: ChildProcess;
  /** So far. */
  stdout(): string;
  stderr(): string;
  readonly ended: Promise<CliRun>;
}

interface CliSettings {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly input?: string;
  readonly cwd?: string;
  /** Another Node than the pinned one. */
  readonly node?: string;
}

/** The command as a user starts it, with all its output piped. No setting of this machine reaches it. */
export function startCli(args: readonly string[], settings: CliSettings = {}): CliProcess {
  const env = {
    ...process.env,
    STATE_HUB_URL: undefined,
    STATE_HUB_KEY: undefined,
    XDG_CONFIG_HOME: "/dev/null",
    ...settings.env,
  };
  const child = spawn(settings.node ?? process.execPath, [bin, ...args], {
    env,
    stdio: "pipe",
    ...(settings.cwd ? { cwd: settings.cwd } : {}),
  });
  child.stdin.end(settings.input ?? "");
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = new Promise<CliRun>((resolve) => {
    child.once("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { child, stdout: () => stdout, stderr: () => stderr, ended };
}

export function runCli(args: readonly string[], settings: CliSettings = {}): Promise<CliRun> {
  return startCli(args, settings).ended;
}
