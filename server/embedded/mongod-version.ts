import { type ExecFileException, execFile } from "node:child_process";
import { statSync } from "node:fs";

/** The oldest release that the hub is tested with. */
const OLDEST_MAJOR = 6;

export interface RunnableMongod {
  readonly version: string;
  readonly major: number;
  readonly bytes: number;
}

/**
 * "Found" means that the binary runs here and is new enough, not that a file exists: a wrong architecture or a missing
 * libssl only shows when it is started. Returns the reason as a string when it cannot be used.
 */
export async function probeMongod(path: string): Promise<RunnableMongod | string> {
  let bytes: number;
  try {
    bytes = statSync(path).size;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? "there is no such file" : (error as Error).message;
  }
  const answer = await run(path);
  if (answer.failure !== undefined) return answer.failure;
  const version = parseMongodVersion(answer.output);
  if (version === undefined) return "its --version does not look like mongod's";
  const major = majorOf(version);
  if (major < OLDEST_MAJOR) return `it is MongoDB ${version}; ${OLDEST_MAJOR}.0 or newer is needed`;
  return { version, major, bytes };
}

export function parseMongodVersion(output: string): string | undefined {
  return /^db version v(\d+\.\d+\.\d+\S*)/m.exec(output)?.[1];
}

export function majorOf(version: string): number {
  return Number(version.split(".")[0]);
}

interface Answer {
  readonly output: string;
  readonly failure?: string;
}

function run(path: string): Promise<Answer> {
  return new Promise((resolve) => {
    execFile(path, ["--version"], { timeout: 10_000 }, (error, stdout, stderr) => {
      if (error === null) resolve({ output: stdout });
      else resolve({ output: "", failure: failureOf(error, stderr) });
    });
  });
}

function failureOf(error: ExecFileException, stderr: string): string {
  if (error.killed) return "it did not answer --version within 10 s";
  if (error.signal === "SIGILL") return "the processor lacks instructions it needs (AVX)";
  // For example "error while loading shared libraries: libcrypto.so.1.1: cannot open shared object file".
  const line = stderr.trim().split("\n").at(-1);
  if (line) return `it does not run: ${line.slice(0, 300)}`;
  if ((error as NodeJS.ErrnoException).code === "EACCES") return "it is not executable";
  return `it does not run: ${error.signal ?? error.code ?? error.message}`;
}
