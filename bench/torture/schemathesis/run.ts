import { spawn } from "node:child_process";
import { once } from "node:events";

interface FuzzedHub {
  readonly url: string;
  readonly key: string;
}

export interface RunOptions {
  readonly seed: number;
  /** Generated requests per route in a phase. */
  readonly examples: number;
  readonly phases: readonly string[];
  /** Folder for what it leaves behind. */
  readonly folder: string;
  /** Past it the run has failed. */
  readonly timeoutMs: number;
}

/** Limits would answer in place of what is to be tested: wrong keys are part of it. */
export const UNLIMITED_ENV = { MAX_FAILED_KEYS_PER_MINUTE: "0", MAX_KEY_REQUESTS_PER_SECOND: "0" } as const;

/** The first ends the hub, the second is a stream without end. */
const LEFT_OUT = ["startDrain", "followProject"];
/** Cursors and conditions are right by what was answered before, which no schema says. */
const NOT_CHECKED = "positive_data_acceptance";

export interface RunResult {
  readonly passed: boolean;
  /** What it printed. */
  readonly output: string;
}

/**
 * Requests made from openapi.json of a live hub, and its answers held against it. By one worker: with more, Python 3.11
 * itself fails at times ("AST constructor recursion depth mismatch").
 */
export async function runSchemathesis(program: string, hub: FuzzedHub, options: RunOptions): Promise<RunResult> {
  const { seed, examples, phases, folder, timeoutMs } = options;
  const child = spawn(
    program,
    [
      ...["run", `${hub.url}/openapi.json`, "--header", `X-Api-Key: ${hub.key}`],
      ...["--checks", "all", "--exclude-checks", NOT_CHECKED],
      ...LEFT_OUT.flatMap((name) => ["--exclude-operation-id", name]),
      ...["--phases", phases.join(","), "--max-examples", String(examples), "--seed", String(seed)],
      ...["--continue-on-failure", "--no-color", "--workers", "1"],
    ],
    { cwd: folder, stdio: ["ignore", "pipe", "pipe"], timeout: timeoutMs },
  );
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const [code] = await once(child, "close");
  // Whatever was refused by a limit was not tested.
  return { passed: code === 0 && !output.includes("Rate limited:"), output };
}
