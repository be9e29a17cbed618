// Installs the dependencies once per lockfile and says what that costs. Plain JavaScript for Node 18 and newer,
// no dependencies: it runs when nothing is installed yet.
//
//   stamp fits, packages are there, pinned Node runs  → nothing to do (about 30 ms)
//   somebody ran npm ci or npm install by hand        → believe npm's own record of it, write the stamp
//   anything else (missing, interrupted, outdated)    → remove the stamp, npm ci, write the stamp

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { takeInstallLock } from "./install-lock.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, "node_modules");
const stampFile = join(modules, ".state-hub-install");

// Measured on two cores: 17 to 30 s; the pinned Node alone is 190 MB.
const COST = "about 30 s, 400 MB";

/** Resolves when every package of the lockfile and the pinned Node are in place; installs them if need be. */
export async function ensureInstalled() {
  const wanted = readWanted();
  if (isStamped(wanted) && missingPart(wanted) === undefined) return;

  const lock = await takeInstallLock(join(root, ".cache"), say);
  try {
    await installUnlessDone(wanted, lock);
  } finally {
    lock.release();
  }
}

async function installUnlessDone(wanted, lock) {
  // Another prepare may have finished while this one waited for the lock.
  if (isStamped(wanted) && missingPart(wanted) === undefined) return;
  if (!isStamped(wanted) && wasInstalledByHand(wanted) && missingPart(wanted) === undefined) {
    writeFileSync(stampFile, wanted.stamp);
    return;
  }

  say(`${reasonToInstall(wanted)}: installing them with npm ci (${COST}, once)`);
  rmSync(stampFile, { force: true });
  const startedAt = Date.now();
  await npmCi(lock);
  const missing = missingPart(wanted);
  if (missing !== undefined) {
    throw operatorError(
      `npm ci succeeded, but ${missing}. Most often npm is configured to skip install scripts, with which the pinned ` +
        "Node arrives: run `npm ci --include=dev --ignore-scripts=false` once, then this command again.",
    );
  }
  writeFileSync(stampFile, wanted.stamp);
  say(`dependencies installed in ${Math.round((Date.now() - startedAt) / 1000)} s`);
}

/** What has to be there, according to package-lock.json and package.json. */
function readWanted() {
  let lockText;
  try {
    lockText = readFileSync(join(root, "package-lock.json"), "utf8");
  } catch {
    throw operatorError(
      `package-lock.json is missing in ${root}: restore it with \`git checkout -- package-lock.json\``,
    );
  }
  const target = `${process.platform}-${process.arch}`;
  return {
    // Platform and architecture count: a checkout may lie on a shared disk or be copied into an image.
    stamp: `${createHash("sha256").update(lockText).digest("hex")} ${target}\n`,
    packages: parseLock(lockText).packages,
    nodeVersion: JSON.parse(readFileSync(join(root, "package.json"), "utf8")).devDependencies.node,
  };
}

function parseLock(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw operatorError(
      "package-lock.json is not valid JSON (a merge conflict?): restore it with `git checkout -- package-lock.json`",
    );
  }
}

function isStamped(wanted) {
  return readOrUndefined(stampFile) === wanted.stamp;
}

/** Says which part of the installation is not there, or undefined when it is whole. */
function missingPart(wanted) {
  for (const [path, entry] of Object.entries(wanted.packages)) {
    // Optional packages are those of other platforms; links are this repository's own workspaces.
    if (!path.startsWith("node_modules/") || entry.optional || entry.link) continue;
    if (!existsSync(join(root, path, "package.json"))) return `${path} is missing`;
  }
  const version = pinnedNodeVersion(wanted.nodeVersion);
  if (version !== wanted.nodeVersion) return `the pinned Node ${wanted.nodeVersion} does not run (${version})`;
  return undefined;
}

/** The version that the pinned Node reports, or why it does not run. */
function pinnedNodeVersion(expected) {
  const bin = join(modules, "node", "bin", process.platform === "win32" ? "node.exe" : "node");
  if (!existsSync(bin)) return "its binary is missing";
  // npm puts node_modules/.bin first in PATH, so usually this very process is the proof that it runs.
  if (process.versions.node === expected && realpathSync(bin) === realpathSync(process.execPath)) return expected;
  const run = spawnSync(bin, ["--version"], { encoding: "utf8", timeout: 10_000 });
  if (run.error) return run.error.message;
  if (run.status !== 0) return (run.stderr || `exit code ${run.status}`).trim();
  return run.stdout.trim().replace(/^v/, "");
}

/**
 * npm writes node_modules/.package-lock.json as the last step of an installation. If it lists all that the lockfile
 * asks for, the person has just run npm ci or npm install, and need not pay for it twice.
 */
function wasInstalledByHand(wanted) {
  const record = readOrUndefined(join(modules, ".package-lock.json"));
  if (record === undefined) return false;
  let installed;
  try {
    installed = JSON.parse(record).packages;
  } catch {
    return false;
  }
  return Object.entries(wanted.packages).every(([path, entry]) => {
    if (!path.startsWith("node_modules/") || entry.optional || entry.link) return true;
    return installed[path]?.version === entry.version && installed[path]?.integrity === entry.integrity;
  });
}

function reasonToInstall(wanted) {
  if (!existsSync(modules)) return "the dependencies are not installed yet";
  const stamp = readOrUndefined(stampFile);
  if (stamp === undefined) return "the dependencies are not completely installed";
  if (stamp !== wanted.stamp) return "the dependencies are outdated (package-lock.json has changed)";
  return `the dependencies are damaged (${missingPart(wanted)})`;
}

/**
 * Ctrl-C reaches npm by itself (same process group), so here it is only waited for: this process may leave, and give
 * its lock back, only after npm has.
 */
function npmCi(lock) {
  return new Promise((resolve, reject) => {
    const npm = npmCommand();
    // --include=dev: NODE_ENV=production would leave out the pinned Node.
    const args = [...npm.args, "ci", "--include=dev", "--loglevel=error"];
    const child = spawn(npm.file, args, {
      cwd: root,
      stdio: ["ignore", 2, 2],
      shell: npm.shell,
      env: npmEnvironment(),
    });
    lock.alsoHeldBy(child.pid);

    let interrupted;
    const onSignal = (signal) => {
      interrupted = signal;
      // A signal sent to this process alone has to be passed on; npm bears a second one.
      child.kill(signal);
    };
    process.on("SIGINT", onSignal);
    process.on("SIGTERM", onSignal);
    const finish = (error) => {
      process.off("SIGINT", onSignal);
      process.off("SIGTERM", onSignal);
      error ? reject(error) : resolve();
    };

    child.once("error", (error) => {
      finish(operatorError(`npm could not be started (${error.message}): run \`npm ci --include=dev\` in ${root}`));
    });
    child.once("exit", (code, signal) => {
      if (interrupted) finish(operatorError("installation interrupted; the next start begins it anew", 130));
      else if (code === 0) finish();
      else finish(operatorError(npmFailure(code === null ? signal : `exit code ${code}`)));
    });
  });
}

function npmFailure(how) {
  return (
    `npm ci failed (${how}); its own messages are above. Usual causes: the package registry cannot be reached ` +
    "(check with `npm ping`; behind a proxy set HTTPS_PROXY), the disk is full (400 MB are needed), or files in " +
    "node_modules belong to another user (remove the folder). Then run the same command again."
  );
}

/** npm tells its scripts where it lies; run by hand, the npm beside this Node or on PATH serves. */
function npmCommand() {
  const node =
    process.env.npm_node_execpath && existsSync(process.env.npm_node_execpath)
      ? process.env.npm_node_execpath
      : process.execPath;
  const beside = dirname(realpathSync(node));
  const candidates = [
    process.env.npm_execpath,
    join(beside, "node_modules", "npm", "bin", "npm-cli.js"),
    join(beside, "..", "lib", "node_modules", "npm", "bin", "npm-cli.js"),
  ];
  // npm_execpath is also set by yarn and pnpm, which do not know `ci`.
  const cli = candidates.find((file) => file && /^npm(-cli)?\.[cm]?js$/.test(basename(file)) && existsSync(file));
  if (cli) return { file: node, args: [cli], shell: false };
  // npm is a .cmd file on Windows, which only a shell can start.
  return { file: "npm", args: [], shell: process.platform === "win32" };
}

/** Settings of the outer npm (`npm start --omit=dev`, `--workspace=…`) reach the inner one as variables; these harm. */
function npmEnvironment() {
  const env = { ...process.env };
  for (const name of Object.keys(env)) {
    if (/^npm_config_(omit|only|production|workspaces?|include_workspace_root|dry_run|global|prefix)$/i.test(name)) {
      delete env[name];
    }
  }
  return env;
}

function operatorError(message, exitCode) {
  return Object.assign(new Error(message), { isForOperator: true, exitCode });
}

function readOrUndefined(file) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/** To stderr, so that what a script prints on stdout stays its own. */
function say(line) {
  console.error(`state-hub: ${line}`);
}
