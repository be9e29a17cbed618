import { setTimeout as sleep } from "node:timers/promises";

/** Most looks ask MongoDB or a hub: what has not come soon is not looked for that often. */
const SOON_MS = 1_000;
const [OFTEN_MS, SELDOM_MS] = [20, 100];

/** Waits until `look` gives something other than undefined or false; fails after the bound, saying what was awaited. */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  withinMs = 20_000,
): Promise<T> {
  const since = performance.now();
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    const waitedMs = performance.now() - since;
    if (waitedMs > withinMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await sleep(waitedMs < SOON_MS ? OFTEN_MS : SELDOM_MS);
  }
}
