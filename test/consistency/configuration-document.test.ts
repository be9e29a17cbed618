import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";
import { SETTINGS } from "../../server/config.ts";
import { ROOT, readText } from "../support/documents.ts";

test("docs/CONFIGURATION.md is what scripts/write-configuration.mjs writes", () => {
  const script = join(ROOT, "scripts", "write-configuration.mjs");
  const run = spawnSync(process.execPath, [script, "--print"], { encoding: "utf8" });
  expect(run.stderr).toBe("");
  expect(run.stdout).toContain("PORT");
  expect(readText("docs", "CONFIGURATION.md"), "run node scripts/write-configuration.mjs").toBe(run.stdout);
});

test("every setting that the README names is one", () => {
  const section = /## Configuration\n([\s\S]*?)\n## /.exec(readText("README.md"))?.[1] ?? "";
  const named = [...section.matchAll(/`([A-Z][A-Z_]+)`/g)].map(([, name]) => name as string);
  expect(named.filter((name) => !(name in SETTINGS) && name !== "MONGOD_BIN")).toEqual([]);
});
