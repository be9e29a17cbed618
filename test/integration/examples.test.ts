import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freshDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { type HubProcess, startHub } from "../support/start-hub.ts";

// examples/node runs in client-package.test.ts, on the packed client.

const run = promisify(execFile);
const examples = fileURLToPath(new URL("../../examples", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "state-hub-examples-"));
const database = freshDatabase();
let hub: HubProcess;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  hub = await startHub({ mongodbUri: database.uri });
  env = { ...process.env, STATE_HUB_URL: hub.url, STATE_HUB_KEY: hub.key, PYTHONUNBUFFERED: "1" };
});

afterAll(async () => {
  await hub.stop();
  await database.drop();
  rmSync(folder, { recursive: true, force: true });
});

test("examples/curl", async (context) => {
  if (spawnSync("curl", ["--version"]).status !== 0) context.skip("curl is not installed");
  const { stdout } = await run("sh", [join(examples, "curl", "demo.sh"), "by-curl"], { env });
  const answers = stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
  expect(answers).toMatchObject([
    { status: "ok" },
    { session_id: "by-curl", liveness: "unmonitored" },
    { status: "WAITING", waiting_for: { question: "Deploy?" } },
    { length: 1 },
    { status: "COMPLETED", metadata: { answer: "yes" } },
    { length: 3 },
  ]);
});

test("examples/python", { timeout: 120_000 }, async (context) => {
  if (spawnSync("python3", ["-c", "import venv, ensurepip"]).status !== 0) {
    context.skip("python3 with venv and pip is not installed");
  }
  const venv = join(folder, "venv");
  await run("python3", ["-m", "venv", venv]);
  const python = join(venv, "bin", "python");
  const install = [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--disable-pip-version-check",
    "-r",
    join(examples, "python", "requirements.txt"),
  ];
  const installed = await run(python, install).catch((error: Error) => error);
  if (installed instanceof Error)
    context.skip(`pip cannot install python-socketio here: ${installed.message.slice(0, 200)}`);

  const viewer = run(python, [join(examples, "python", "viewer.py"), "by-python"], { env, timeout: 60_000 });
  let seen = "";
  viewer.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    seen += text;
  });
  await eventually("the viewer", () => seen.includes("following default"), 20_000);
  const agent = run(python, [join(examples, "python", "agent.py"), "by-python"], { env, timeout: 60_000 });
  // Killed in the middle: both go on by themselves, and nothing is told twice.
  await eventually("the first task", () => seen.includes("task read"), 20_000);
  await hub.kill("SIGKILL");
  hub = await startHub({ mongodbUri: database.uri, port: hub.port, key: hub.key });
  expect((await agent).stdout).toMatch(/^by-python ended with change \d+\n$/);
  const lines = (await viewer).stdout.split("\n").filter((line) => line.startsWith("#"));
  const told = lines.map((line) => Number(/^#(\d+)/.exec(line)?.[1]));
  expect(told).toEqual(told.map((_, index) => (told[0] ?? 0) + index));
  for (const task of ["read", "think", "write"]) {
    expect(lines.filter((line) => line.endsWith(`task ${task} COMPLETED`))).toHaveLength(1);
  }
});
