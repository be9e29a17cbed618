import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openDataFolder } from "../../server/embedded/data-folder.ts";
import { processStart } from "../../server/embedded/process-identity.ts";

let base = "";
let dir = "";

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "state-hub-folder-"));
  dir = join(base, "data");
});

afterEach(() => rmSync(base, { recursive: true, force: true }));

test("the folder is created for its owner only, and free again after release", async () => {
  const first = await openDataFolder(dir);
  if (process.platform !== "win32") expect(statSync(dir).mode & 0o777).toBe(0o700);
  first.release();
  const second = await openDataFolder(dir);
  first.release();
  await expect(openDataFolder(dir)).rejects.toThrow("another hub");
  second.release();
});

test("a second hub on the folder is refused with the pid of the first", async () => {
  const first = await openDataFolder(dir);
  await expect(openDataFolder(dir)).rejects.toThrow(
    `another hub (pid ${process.pid}) runs on the data folder ${first.path}; stop it or set DATA_DIR`,
  );
  first.release();
});

test("the lock of a killed hub is taken over", async () => {
  const script = new URL("../../server/embedded/data-folder.ts", import.meta.url).href;
  const code = `const { openDataFolder } = await import(${JSON.stringify(script)});
    await openDataFolder(${JSON.stringify(dir)}); console.log("locked"); setInterval(() => {}, 1000);`;
  const hub = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  await once(hub.stdout, "data");
  await expect(openDataFolder(dir)).rejects.toThrow(`another hub (pid ${hub.pid})`);
  hub.kill("SIGKILL");
  await once(hub, "exit");
  (await openDataFolder(dir)).release();
});

test.skipIf(processStart(process.pid) === undefined)(
  "a pid that meanwhile belongs to another process does not count",
  async () => {
    const first = await openDataFolder(dir);
    const lock = join(dir, "hub.lock");
    const reused = { ...JSON.parse(readFileSync(lock, "utf8")), start: "another boot/1" };
    writeFileSync(lock, JSON.stringify(reused));
    (await openDataFolder(dir)).release();
    first.release();
  },
);

test("of several hubs that start at once on a dead hub's folder exactly one wins", async () => {
  (await openDataFolder(dir)).release();
  writeFileSync(join(dir, "hub.lock"), JSON.stringify({ pid: 2 ** 22 + 1, start: "x", token: "dead" }));
  const starts = await Promise.allSettled(Array.from({ length: 8 }, () => openDataFolder(dir)));
  expect(starts.filter((start) => start.status === "fulfilled")).toHaveLength(1);
});

test("a folder that cannot be used is refused with the reason and the variable", async () => {
  writeFileSync(join(base, "file"), "");
  await expect(openDataFolder(join(base, "file"))).rejects.toThrow(/it is a file; set DATA_DIR/);
  await expect(openDataFolder(join(base, "file", "below"))).rejects.toThrow(
    /a part of the path is a file; set DATA_DIR/,
  );
});
