#!/usr/bin/env node
// The command `state-hub`: starts the command line tool on the Node that this project pins. Plain JavaScript for Node 18
// and newer, without dependencies, because it may run before anything is installed, and through a link from any folder.

import { spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, realpathSync, statSync } from "node:fs";
import module from "node:module";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = dirname(dirname(realpathSync(fileURLToPath(import.meta.url))));
const modules = join(root, "node_modules");
const node = join(modules, "node", "bin", process.platform === "win32" ? "node.exe" : "node");
const cli = join(root, "cli", "main.ts");

if (needsInstall()) install();
// The hub itself: its libraries are part of the command line tool and would have read the environment by then.
if (process.argv[2] === "start") await import("../server/quiet-libraries.mjs");
if (realpathSync(process.execPath) === realpathSync(node)) {
  // A command starts in half the time when its code need not be compiled again; where nothing can be written it just is.
  module.enableCompileCache(process.env.NODE_COMPILE_CACHE ?? join(modules, ".cache", "state-hub"));
  await import(pathToFileURL(cli).href);
} else {
  runOnPinnedNode();
}

/** A look at three files; what prepare.mjs finds out beyond that is worth its time only when one of them is off. */
function needsInstall() {
  const stamp = modified(join(modules, ".state-hub-install"));
  return !existsSync(node) || stamp === undefined || stamp < (modified(join(root, "package-lock.json")) ?? 0);
}

function modified(file) {
  try {
    return statSync(file).mtimeMs;
  } catch {
    return undefined;
  }
}

/** What it prints goes to stderr: stdout belongs to the command. */
function install() {
  const run = spawnSync(process.execPath, [join(root, "scripts", "prepare.mjs")], { stdio: ["ignore", 2, 2] });
  if (run.error) {
    console.error(`state-hub: ${run.error.message}`);
    process.exit(1);
  }
  if (run.status !== 0) process.exit(run.status ?? 1);
}

/**
 * Ctrl-C and the loss of a terminal reach the whole foreground group, so with a terminal those signals are only waited
 * for; without one they were sent to this process alone, like SIGTERM always, and are passed on.
 */
function runOnPinnedNode() {
  const fromTerminal = hasTerminal() ? ["SIGINT", "SIGQUIT", "SIGHUP"] : [];
  const signals = ["SIGINT", "SIGQUIT", "SIGHUP", "SIGTERM", "SIGUSR2"].filter((name) => name in constants.signals);
  let child;
  const passOn = (signal) => {
    if (!fromTerminal.includes(signal)) child?.kill(signal);
  };
  for (const signal of signals) process.on(signal, passOn);
  child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: "inherit" });
  child.once("error", (error) => {
    console.error(`state-hub: the pinned Node does not start (${error.message}); run \`npm ci\` in ${root}`);
    process.exit(1);
  });
  child.once("exit", (code, signal) => {
    for (const name of signals) process.off(name, passOn);
    if (signal === null) process.exit(code ?? 1);
    // End the same way, so that a shell sees what really happened; some signals do not end a Node process.
    process.kill(process.pid, signal);
    setTimeout(() => process.exit(128 + (constants.signals[signal] ?? 0)), 200);
  });
}

/** /dev/tty opens exactly for processes that have a controlling terminal, whatever their stdio is. */
function hasTerminal() {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}
