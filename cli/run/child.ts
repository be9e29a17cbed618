import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, fstatSync, openSync } from "node:fs";
import { isatty } from "node:tty";
import { LastLine } from "./last-line.ts";
import { pump } from "./pump.ts";

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A program that runs as it would without us, but for a look at its output where that does not go to a terminal. */
export interface Child {
  /** The last line it has written, where its output can be seen. */
  lastLine(): string | undefined;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<Ended>;
  /** After its end: everything it has written is passed on, and whoever it left behind has closed the output too. */
  readonly drained: Promise<void>;
}

/** Rejects with the system's error when there is no such program, or it may not be run. */
export async function startChild(command: readonly string[], env: NodeJS.ProcessEnv): Promise<Child> {
  const out = isatty(1) ? "inherit" : "pipe";
  const err = isatty(2) ? "inherit" : "pipe";
  const isOneOutput = out === "pipe" && err === "pipe" && isSameFile(1, 2) && process.platform !== "win32";
  const child = isOneOutput ? spawnWithOneOutput(command, env) : spawnPlain(command, env, out, err);
  await started(child);

  const lastLine = new LastLine();
  const look = (chunk: Buffer) => lastLine.push(chunk);
  const pumps: Promise<void>[] = [];
  if (child.stdout !== null) pumps.push(pump(child.stdout, 1, look));
  if (child.stderr !== null) pumps.push(pump(child.stderr, 2, look));
  return {
    lastLine: () => lastLine.text(),
    kill: (signal) => {
      child.kill(signal);
    },
    ended: new Promise((resolve) => {
      child.once("exit", (code, signal) => resolve({ code, signal }));
    }),
    drained: Promise.all(pumps).then(() => {}),
  };
}

function spawnPlain(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  out: "inherit" | "pipe",
  err: "inherit" | "pipe",
) {
  const [file = "", ...args] = command;
  return spawn(file, args, { env, stdio: ["inherit", out, err] });
}

/**
 * With `> log 2>&1` the order of the two outputs counts. Two pipes would lose it, so the child gets one pipe for
 * both; the shell that arranges this is replaced by the program (exec) and keeps its process id.
 */
function spawnWithOneOutput(command: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  const args = ["-c", 'exec "$@" 2>&1', "sh", ...command];
  return spawn("/bin/sh", args, { env, stdio: ["inherit", "pipe", "ignore"] });
}

function isSameFile(a: number, b: number): boolean {
  try {
    const [first, second] = [fstatSync(a), fstatSync(b)];
    return first.dev === second.dev && first.ino === second.ino;
  } catch {
    return false;
  }
}

function started(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("spawn", () => {
      child.off("error", reject);
      // Later errors (a kill that fails) must not end this process.
      child.on("error", () => {});
      resolve();
    });
    child.once("error", reject);
  });
}

/** /dev/tty opens exactly for processes that have a controlling terminal, whatever their stdio is. */
export function hasTerminal(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}
