import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { KeptProcess, type ProcessEvent } from "../../scripts/cluster/kept-process.ts";
import { eventually } from "../support/eventually.ts";
import { Stage } from "../support/test-hub.ts";

const stage = new Stage();
afterEach(stage.clear);

const FOREVER = "setInterval(() => {}, 1000)";
const DEAF = `process.on("SIGTERM", () => {}); ${FOREVER}`;

/** A Node process that runs this script, ready at once. */
async function keep(script: string, stopWithinMs = 5_000) {
  const folder = stage.add(mkdtempSync(join(tmpdir(), "state-hub-kept-")), (path) => rmSync(path, { recursive: true }));
  const events: ProcessEvent[] = [];
  const program = {
    ...{ name: "it", command: [process.execPath, "-e", script], logFile: join(folder, "it.log"), stopWithinMs },
    isReady: async () => true,
  };
  const kept = await KeptProcess.start(program, (event) => events.push(event));
  stage.add(kept, (open) => open.stop());
  return { kept, events };
}

test("what ends is started again, at once the first time, and later the more often it ends", async () => {
  const { kept, events } = await keep(FOREVER);
  const pids = [kept.pid];
  for (let count = 1; count <= 3; count += 1) {
    process.kill(kept.pid ?? 0, "SIGKILL");
    await eventually("it runs again", () => events.filter(({ event }) => event === "ready").length === count);
    pids.push(kept.pid);
  }
  expect(new Set(pids).size).toBe(4);
  const ends = events.filter((event) => event.event === "ended");
  expect(ends.map(({ reason, restart_in_ms }) => [reason, restart_in_ms])).toEqual([
    ["SIGKILL", 0],
    ["SIGKILL", 250],
    ["SIGKILL", 500],
  ]);
});

test("a stop ends it for good, also one that does not listen, and one that waits for its next start", async () => {
  for (const script of [FOREVER, DEAF]) {
    const { kept, events } = await keep(script, 500);
    await kept.stop();
    expect([kept.pid, events]).toEqual([undefined, []]);
  }
  const { kept, events } = await keep(FOREVER);
  for (const count of [1, 2]) {
    process.kill(kept.pid ?? 0, "SIGKILL");
    await eventually("it has ended", () => events.filter(({ event }) => event === "ended").length === count);
    if (count === 1) await eventually("and runs again", () => kept.pid);
  }
  await kept.stop();
  expect(kept.pid).toBeUndefined();
});
