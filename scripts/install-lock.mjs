// One installation at a time: npm ci begins by emptying node_modules, so two of them destroy each other.
// The lock is a folder (mkdir is atomic everywhere) that holds the pids of the prepare and of its npm. It cannot lie
// in node_modules, which npm ci empties.

import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const POLL_MS = 200;
const SETTLE_MS = 50;

/** Waits for the lock as long as its holders live; a dead one's lock is taken over. */
export async function takeInstallLock(folder, say) {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, "install.lock");
  let waiting = false;
  for (;;) {
    if (create(path)) {
      // Of two processes that both found a dead holder's lock, the slower may just have moved this one away.
      if (waiting) await sleep(SETTLE_MS);
      if (holders(path).includes(process.pid)) return handle(path);
    }
    const living = holders(path).filter(isAlive);
    if (living.length > 0) {
      if (!waiting) say(`another installation is running here (pid ${living[0]}); waiting for it`);
    } else {
      // An empty lock may have been created this very moment: look again before calling it dead.
      await sleep(SETTLE_MS);
      if (holders(path).filter(isAlive).length === 0) moveAway(path);
    }
    waiting = true;
    if (living.length > 0) await sleep(POLL_MS);
  }
}

function create(path) {
  try {
    mkdirSync(path);
    writeFileSync(join(path, String(process.pid)), "");
    return true;
  } catch (error) {
    if (error.code === "EEXIST" || error.code === "ENOENT") return false;
    throw error;
  }
}

function handle(path) {
  return {
    /** npm may outlive a killed prepare: the lock stays taken until both are gone. */
    alsoHeldBy(pid) {
      if (pid !== undefined) writeFileSync(join(path, String(pid)), "");
    },
    release() {
      rmSync(path, { recursive: true, force: true });
    },
  };
}

function holders(path) {
  try {
    return readdirSync(path).map(Number);
  } catch {
    return [];
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

function moveAway(path) {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch {
    return; // Another one was faster.
  }
  rmSync(aside, { recursive: true, force: true });
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
