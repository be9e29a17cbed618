import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { portToKeep } from "../../scripts/cluster/ports.ts";
import { ROOT } from "../support/documents.ts";
import { Stage } from "../support/test-hub.ts";

const stage = new Stage();
afterEach(stage.clear);

/** A script of the cluster on a folder of its own, until it ends. */
async function run(script: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const folder = stage.add(mkdtempSync(join(tmpdir(), "state-hub-cluster-")), (path) =>
    rmSync(path, { recursive: true }),
  );
  const child = spawn(process.execPath, [`scripts/${script}`, "--data", folder, ...args], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  stage.add(child, () => child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  await once(child, "close");
  return { code: child.exitCode, output };
}

test("help, and what is asked wrongly, cost nothing", async () => {
  expect(await run("cluster.ts", ["--help"])).toMatchObject({ code: 0, output: expect.stringContaining("--hubs N") });
  expect(await run("rolling-restart.ts", ["--help"])).toMatchObject({ code: 0 });
  expect(await run("cluster.ts", ["--hubs", "0"])).toEqual({
    code: 2,
    output: 'state-hub: --hubs is a whole number from 1 to 16, not "0"; npm run cluster -- --help\n',
  });
  expect(await run("cluster.ts", ["--hub", "3"])).toMatchObject({ code: 2 });
});

test("a port that is taken is named, with who has it and what to do", async () => {
  const first = await portToKeep();
  const other = createServer().listen(first + 1, "127.0.0.1");
  stage.add(other, (open) => open.close());
  await once(other, "listening");
  const { code, output } = await run("cluster.ts", ["--port", String(first)]);
  expect(code).toBe(1);
  expect(output).toMatch(new RegExp(`port ${first + 1} is in use by .*choose 4 others with --port N`));
});

test("a hub that does not start is quoted, and nothing stays behind", async () => {
  const mongodb = { MONGODB_URI: stage.database().uri };
  const env = { ...mongodb, HAPROXY_BIN: "/nonexistent", LEASE_TTL_MS: "none" };
  const { code, output } = await run("cluster.ts", ["--port", "0", "--hubs", "2"], env);
  expect(code).toBe(1);
  expect(output).toMatch(/hub-1 ended at its start \(exit code 1\); the end of .*hub-1\.log:\n {2}.*LEASE_TTL_MS/);
});

test("a rolling restart without a cluster says so", async () => {
  const { code, output } = await run("rolling-restart.ts", []);
  expect(code).toBe(1);
  expect(output).toMatch(/^state-hub: no cluster runs on .*: start one with npm run cluster\n$/);
});
