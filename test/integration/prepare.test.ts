import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";

/**
 * The real scripts in a tiny project with an npm of its own: it empties node_modules like npm ci, takes as long as
 * told, writes down that it ran, and "installs" this test's Node as the pinned one.
 */
const FAKE_NPM = `
  const fs = require("node:fs");
  fs.appendFileSync("npm.log", process.argv.slice(2).join(" ") + "\\n");
  fs.rmSync("node_modules", { recursive: true, force: true });
  fs.mkdirSync("node_modules/half", { recursive: true });
  setTimeout(() => {
    if (process.env.FAKE_NPM_FAILS) { console.error("npm error fake reason"); process.exit(7); }
    fs.mkdirSync("node_modules/node/bin", { recursive: true });
    fs.writeFileSync("node_modules/node/package.json", "{}");
    fs.symlinkSync(process.execPath, "node_modules/node/bin/node");
    fs.mkdirSync("node_modules/half", { recursive: true });
    fs.writeFileSync("node_modules/half/package.json", "{}");
  }, Number(process.env.FAKE_NPM_MS || 0));
`;

let root = "";
const running: ChildProcess[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "state-hub-prepare-"));
  cpSync(fileURLToPath(new URL("../../scripts", import.meta.url)), join(root, "scripts"), { recursive: true });
  writeFileSync(join(root, "package.json"), JSON.stringify({ devDependencies: { node: process.versions.node } }));
  writeLock("1.0.0");
  mkdirSync(join(root, "npm"));
  writeFileSync(join(root, "npm", "npm-cli.js"), FAKE_NPM);
});

afterEach(async () => {
  for (const child of running.splice(0))
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
  rmSync(root, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
});

function writeLock(version: string) {
  const packages = {
    "": {},
    "node_modules/node": { version: process.versions.node },
    "node_modules/half": { version },
    "node_modules/other-platform": { version: "1.0.0", optional: true },
  };
  writeFileSync(join(root, "package-lock.json"), JSON.stringify({ packages }));
}

function startPrepare(env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [join(root, "scripts", "prepare.mjs")], {
    env: { ...process.env, npm_execpath: join(root, "npm", "npm-cli.js"), npm_node_execpath: process.execPath, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  running.push(child);
  let stderr = "";
  child.stderr.on("data", (chunk) => (stderr += chunk));
  const ended = once(child, "close").then(() => ({ code: child.exitCode, stderr }));
  return { child, ended };
}

const prepare = async (env?: NodeJS.ProcessEnv) => await startPrepare(env).ended;
const npmRuns = () =>
  existsSync(join(root, "npm.log")) ? readFileSync(join(root, "npm.log"), "utf8").trim().split("\n") : [];
const stamp = () => join(root, "node_modules", ".state-hub-install");
const npmHasBegun = () =>
  eventually("npm runs", () => existsSync(join(root, "node_modules", "half")) && npmRuns().length > 0);

describe.skipIf(process.platform === "win32")("prepare", () => {
  test("installs on a fresh clone, says what it costs, and has nothing to do the second time", async () => {
    const first = await prepare({ NODE_ENV: "production" });
    expect(first).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/not installed yet.*npm ci \(about .* s, .* MB/),
    });
    expect(npmRuns()).toEqual(["ci --include=dev --loglevel=error"]);
    expect(await prepare()).toEqual({ code: 0, stderr: "" });
    expect(npmRuns()).toHaveLength(1);
  });

  test("installs again when the lockfile has changed", async () => {
    await prepare();
    writeLock("1.0.1");
    expect(await prepare()).toMatchObject({ code: 0, stderr: expect.stringContaining("outdated") });
    expect(npmRuns()).toHaveLength(2);
  });

  test("installs again when a package, or the pinned Node, is not there", async () => {
    await prepare();
    rmSync(join(root, "node_modules", "half"), { recursive: true });
    expect(await prepare()).toMatchObject({ code: 0, stderr: expect.stringContaining("damaged (node_modules/half") });
    rmSync(join(root, "node_modules", "node", "bin"), { recursive: true });
    expect(await prepare()).toMatchObject({ code: 0, stderr: expect.stringContaining("the pinned Node") });
    expect(npmRuns()).toHaveLength(3);
  });

  test("installs again after an installation that was killed in the middle", async () => {
    const { child, ended } = startPrepare({ FAKE_NPM_MS: "2000" });
    await npmHasBegun();
    child.kill("SIGKILL");
    await ended;
    expect(existsSync(stamp())).toBe(false);
    expect(await prepare()).toMatchObject({ code: 0, stderr: expect.stringContaining("not completely installed") });
    expect(npmRuns()).toHaveLength(2);
  });

  test("interrupted by a signal, it ends npm first and leaves no lock", async () => {
    const { child, ended } = startPrepare({ FAKE_NPM_MS: "20000" });
    await npmHasBegun();
    child.kill("SIGINT");
    expect(await ended).toMatchObject({ code: 130, stderr: expect.stringContaining("interrupted") });
    expect(existsSync(join(root, ".cache", "install.lock"))).toBe(false);
    expect(existsSync(stamp())).toBe(false);
  });

  test("two at once: one installs, the other waits and has nothing left to do", async () => {
    const first = startPrepare({ FAKE_NPM_MS: "700" });
    await npmHasBegun();
    const second = await prepare();
    expect(second).toMatchObject({ code: 0, stderr: expect.stringContaining("another installation is running") });
    expect(await first.ended).toMatchObject({ code: 0 });
    expect(npmRuns()).toHaveLength(1);
  });

  test("believes an installation that was made by hand", async () => {
    await prepare();
    rmSync(stamp());
    cpSync(join(root, "package-lock.json"), join(root, "node_modules", ".package-lock.json"));
    expect(await prepare()).toEqual({ code: 0, stderr: "" });
    expect(npmRuns()).toHaveLength(1);
    expect(existsSync(stamp())).toBe(true);
  });

  test("an npm that fails is reported with what to do, and nothing counts as installed", async () => {
    const failed = await prepare({ FAKE_NPM_FAILS: "1" });
    expect(failed.code).toBe(1);
    expect(failed.stderr).toMatch(/npm error fake reason[\s\S]*npm ci failed \(exit code 7\).*npm ping.*400 MB/);
    expect(existsSync(stamp())).toBe(false);
    expect(await prepare()).toMatchObject({ code: 0 });
  });

  test("a missing lockfile is reported with what to do", async () => {
    rmSync(join(root, "package-lock.json"));
    expect(await prepare()).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("git checkout -- package-lock.json"),
    });
  });
});
