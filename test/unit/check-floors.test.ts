import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { ROOT } from "../support/documents.ts";

const folder = mkdtempSync(join(tmpdir(), "state-hub-floors-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Packages = Record<string, { version?: string }>;

/** The project's own lock file with changes. */
function check(change: (packages: Packages) => void = () => {}) {
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as { packages: Packages };
  change(lock.packages);
  const path = join(folder, "package-lock.json");
  writeFileSync(path, JSON.stringify(lock));
  return spawnSync(process.execPath, [join(ROOT, "scripts", "check-floors.mjs"), path], { encoding: "utf8" });
}

describe("scripts/check-floors.mjs", () => {
  test("the lock file of the project is fine", () => {
    expect(check()).toMatchObject({ status: 0, stderr: "" });
  });

  test.each(["8.21.0", "8.3.99", "7.99.99", "8.21.1-beta.1"])(
    "a second copy of ws at %s is found and named",
    (version) => {
      const { status, stderr } = check((packages) => {
        packages["node_modules/some/node_modules/ws"] = { version };
      });
      expect(status).toBe(1);
      expect(stderr).toMatch(
        new RegExp(`^check-floors: node_modules/some/node_modules/ws is ${version}, 8.21.1 is needed \\(CVE-.+\\)\\n$`),
      );
    },
  );

  test.each(["8.21.1", "8.21.10", "9.0.0"])("a copy of ws at %s is fine", (version) => {
    const { status } = check((packages) => {
      packages["node_modules/some/node_modules/ws"] = { version };
    });
    expect(status).toBe(0);
  });

  test("another major of ioredis, and a package that is gone, are told", () => {
    const { status, stderr } = check((packages) => {
      packages["node_modules/ioredis"] = { version: "7.0.0" };
      delete packages["node_modules/engine.io"];
    });
    expect(status).toBe(1);
    expect(stderr).toContain("node_modules/ioredis is 7.0.0, the hub is made for ioredis 6");
    expect(stderr).toContain("engine.io is not in the lock file");
  });
});
