import { setTimeout as delay } from "node:timers/promises";

/** Waits without keeping the process alive. */
export function pause(ms: number): Promise<void> {
  return delay(ms, undefined, { ref: false });
}
