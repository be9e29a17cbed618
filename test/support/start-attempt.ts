import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Stage } from "./test-hub.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** How a start of the hub that was refused ended. */
export interface StartAttempt {
  readonly code: number | null;
  /** Without the line end, if it is one. */
  readonly stderr: string;
  readonly stdout: string;
  readonly ms: number;
}

/** `node server/main.ts` with these settings alone, in a home of its own, until it ends. */
export async function attemptStart(stage: Stage, env: Readonly<Record<string, string>>): Promise<StartAttempt> {
  const home = mkdtempSync(join(tmpdir(), "state-hub-start-"));
  stage.add(home, () => rmSync(home, { recursive: true, force: true }));
  const { PATH = "", NODE_COMPILE_CACHE = "" } = process.env;
  const started = performance.now();
  const child = spawn(process.execPath, ["server/main.ts"], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH, NODE_COMPILE_CACHE, HOME: home, XDG_CONFIG_HOME: home, DATA_DIR: join(home, "data"), ...env },
  });
  stage.add(child, () => child.kill("SIGKILL"));
  const seen = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      seen[name] += text;
    });
  }
  await once(child, "close");
  return { ...seen, stderr: seen.stderr.trimEnd(), code: child.exitCode, ms: performance.now() - started };
}
