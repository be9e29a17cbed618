import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, inject, test } from "vitest";
import { Stage } from "../support/test-hub.ts";

const stage = new Stage();
afterEach(stage.clear);

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command as a person would call it. */
function torture(...words: readonly string[]): Promise<Run> {
  const redis = inject("redisServer").path;
  const env = {
    ...process.env,
    MONGOD_BIN: inject("mongodBinary"),
    ...(redis === undefined ? {} : { REDIS_SERVER_BIN: redis }),
  };
  return new Promise((resolve) => {
    execFile(process.execPath, ["bench/torture/torture.ts", ...words], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

test("[D2] [D12] [F19] [Y4] hubs killed in turn, clients on the move: nothing lost or doubled, mirrors equal the log", {
  timeout: 180_000,
}, async () => {
  const out = stage.add(mkdtempSync(join(tmpdir(), "state-hub-torture-")), (path) => rmSync(path, { recursive: true }));
  const size = ["--seconds", "10", "--agents", "8", "--rate", "60", "--seed", "7"];
  const run = await torture("kill-hubs", ...size, "--json", "--out", out);
  const told = JSON.stringify(run, null, 2);
  expect(run.code, told).toBe(0);
  const { tables, verdicts } = JSON.parse(run.stdout);
  const figures = new Map<string, unknown>(tables[0].rows);
  expect(figures.get("kills")).toBeGreaterThanOrEqual(2);
  expect(figures.get("publishes acked")).toBeGreaterThan(20);
  expect(verdicts.filter(({ isMet }: { isMet: boolean }) => !isMet)).toEqual([]);
});

test("torture explains itself", async () => {
  const help = await torture("--help");
  expect(help.code).toBe(0);
  for (const name of ["kill-hub ", "kill-hubs", "redis-down", "last-frame"]) expect(help.stdout).toContain(name);
  const wrong = await torture("kill-hubs", "--seconds", "soon");
  expect(wrong).toMatchObject({ code: 2, stdout: "" });
  expect(wrong.stderr).toContain('--seconds must be a whole number above 0, not "soon"');
  expect((await torture("kill-hbus")).stderr).toContain('there is no scenario "kill-hbus"');
});
