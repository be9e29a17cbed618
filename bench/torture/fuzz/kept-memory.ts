import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket } from "ws";
import { residentBytes } from "../../support/process-usage.ts";
import { until } from "../../support/processes.ts";

/** Freed pages go back to the system a moment later. */
const SETTLE_MS = 1_000;

/**
 * What a Node process still holds after its garbage was collected, bytes of RSS: V8 lets its heap grow under load and
 * takes its time to give it back, which says nothing about what stays. Asked for over the inspector, which SIGUSR1
 * opens at the port that the process was given by `--inspect-port`.
 */
export async function keptBytes(pid: number, inspectPort: number): Promise<number> {
  process.kill(pid, "SIGUSR1");
  let address = "";
  await until("the inspector answers", async () => {
    const targets = await fetch(`http://127.0.0.1:${inspectPort}/json/list`);
    address = ((await targets.json()) as { webSocketDebuggerUrl: string }[])[0]?.webSocketDebuggerUrl ?? "";
    return address !== "";
  });
  const inspector = new WebSocket(address);
  await new Promise((resolve, reject) => inspector.once("open", resolve).once("error", reject));
  const collected = new Promise((resolve) => inspector.once("message", resolve));
  inspector.send(JSON.stringify({ id: 1, method: "HeapProfiler.collectGarbage" }));
  await collected;
  inspector.close();
  await sleep(SETTLE_MS);
  return residentBytes(pid);
}
