import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const REQUIREMENTS = fileURLToPath(new URL("requirements.txt", import.meta.url));
const LEAST = [3, 11] as const;
const INSTALL_TIMEOUT_MS = 300_000;

/** No Python that will do, or no way to its packages: told to people, and a reason to skip for tests. */
export class NoSchemathesis extends Error {}

/**
 * Path of `schemathesis`, in a virtual environment of the user's cache that is made when it is not there yet.
 *
 * @throws NoSchemathesis
 */
export async function findSchemathesis(env: NodeJS.ProcessEnv, say: (line: string) => void): Promise<string> {
  const digest = createHash("sha256").update(readFileSync(REQUIREMENTS)).digest("hex").slice(0, 12);
  const base = env.STATE_HUB_CACHE_DIR || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "state-hub");
  const venv = join(base, "schemathesis", digest);
  const program = join(venv, "bin", "schemathesis");
  const done = join(venv, "installed");
  if (existsSync(done)) return program;
  await checkPython();
  say(`installing schemathesis from the Python package index into ${venv}`);
  mkdirSync(venv, { recursive: true });
  await step("make a virtual environment", "python3", ["-m", "venv", "--clear", venv]);
  const quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--retries", "1", "--timeout", "15"];
  await step("install its packages", join(venv, "bin", "python"), [
    "-m",
    "pip",
    "install",
    ...quiet,
    "-r",
    REQUIREMENTS,
  ]);
  writeFileSync(done, "");
  return program;
}

async function checkPython(): Promise<void> {
  const tell = "import sys, venv, ensurepip; print(*sys.version_info[:2])";
  const { stdout } = await run("python3", ["-c", tell]).catch((error: Error) => {
    throw new NoSchemathesis(`python3 with venv and pip is not installed: ${lastLine(error)}`);
  });
  const [major = 0, minor = 0] = stdout.trim().split(" ").map(Number);
  if (major > LEAST[0] || (major === LEAST[0] && minor >= LEAST[1])) return;
  throw new NoSchemathesis(`python3 is ${major}.${minor}, schemathesis needs ${LEAST.join(".")} or newer`);
}

async function step(what: string, file: string, args: readonly string[]): Promise<void> {
  await run(file, [...args], { timeout: INSTALL_TIMEOUT_MS }).catch((error: Error) => {
    throw new NoSchemathesis(`cannot ${what}: ${lastLine(error)}`);
  });
}

function lastLine(error: Error): string {
  return error.message.trim().split("\n").at(-1)?.slice(0, 300) ?? error.name;
}
