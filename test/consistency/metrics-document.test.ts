import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { METRICS } from "../../server/observability/metrics/table.ts";
import { ROOT, readText } from "../support/documents.ts";

test("docs/METRICS.md is what scripts/write-metrics.mjs writes", () => {
  const script = join(ROOT, "scripts", "write-metrics.mjs");
  const run = spawnSync(process.execPath, [script, "--print"], { encoding: "utf8" });
  expect(run.stderr).toBe("");
  expect(run.stdout).toContain("statehub_connections");
  expect(readText("docs", "METRICS.md"), "run node scripts/write-metrics.mjs").toBe(run.stdout);
});

test("names say unit and kind as Prometheus wants it, once each", () => {
  expect(new Set(METRICS.map(({ name }) => name)).size).toBe(METRICS.length);
  for (const { name, type } of METRICS) {
    expect(name).toMatch(/^statehub_[a-z]+(_[a-z]+)*$/);
    expect(name.endsWith("_total"), name).toBe(type === "counter");
    expect(name).not.toMatch(/_(ms|milliseconds|kb|mb)(_|$)/);
  }
});

test("every metric that a document names is one", () => {
  const names = new Set(METRICS.map(({ name }) => name));
  for (const page of ["METRICS.md", "THREAT-MODEL.md", "DEPLOYMENT.md", "ARCHITECTURE.md", "SCALING.md"]) {
    const named = readText("docs", page).match(/statehub_[a-z_]+/g) ?? [];
    expect(named.filter((name) => !names.has(name))).toEqual([]);
  }
});
