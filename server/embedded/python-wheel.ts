import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** python3 may come without pip (Debian splits it off), and pip may come under its own name only. */
const PIPS: readonly (readonly string[])[] = [["python3", "-m", "pip"], ["pip3"], ["python", "-m", "pip"], ["pip"]];

const FETCH_TIMEOUT_MS = 300_000;

/**
 * Unpacks a wheel of the Python package index below `into` and resolves to its folder; rejects with a one-line reason.
 *
 * @param wheel name, version and hash, as a line of a requirements file; the hash pins the content
 */
export async function fetchWheel(wheel: string, into: string, env: NodeJS.ProcessEnv): Promise<string> {
  const pip = await findPip(env);
  const requirements = join(into, "requirements.txt");
  const target = join(into, "wheel");
  writeFileSync(requirements, `${wheel}\n`);
  const install = ["install", "--quiet", "--no-input", "--no-deps", "--only-binary=:all:", "--require-hashes"];
  const quieter = ["--disable-pip-version-check", "--retries", "1", "--timeout", "10"];
  const args = [...install, ...quieter, "--target", target, "-r", requirements];
  await run([...pip, ...args], env, FETCH_TIMEOUT_MS);
  return target;
}

async function findPip(env: NodeJS.ProcessEnv): Promise<readonly string[]> {
  const reasons: string[] = [];
  for (const pip of PIPS) {
    try {
      await run([...pip, "--version"], env, 20_000);
      return pip;
    } catch (error) {
      reasons.push(`${pip.join(" ")}: ${(error as Error).message}`);
    }
  }
  throw new Error(`no pip (${reasons.join("; ")})`);
}

function run(command: readonly string[], env: NodeJS.ProcessEnv, timeout: number): Promise<void> {
  const [file = "", ...args] = command;
  return new Promise((resolve, reject) => {
    execFile(file, args, { env, timeout }, (error, _stdout, stderr) => {
      if (error === null) return resolve();
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return reject(new Error("not installed"));
      if (error.killed) return reject(new Error(`no answer within ${timeout / 1000} s`));
      reject(new Error(tellingLine(stderr) ?? error.message));
    });
  });
}

/** pip's last "ERROR:" line says what went wrong; warnings about root and retries do not. */
function tellingLine(stderr: string): string | undefined {
  const lines = stderr.trim().split("\n");
  return (lines.findLast((line) => line.startsWith("ERROR:")) ?? lines.at(-1))?.slice(0, 300) || undefined;
}
