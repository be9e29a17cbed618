import { setTimeout as sleep } from "node:timers/promises";
import type { MongodProcess } from "./mongod-process.ts";

const MAX_FAILURES = 5;

/** A mongod that ends sooner than this has not really come back. */
const STABLE_AFTER_MS = 10_000;

/** The first restart is immediate: a single crash should cost clients no more than mongod's own start. */
const BACKOFF_MS = [0, 250, 500, 1000, 2000];

export interface MongodSupervisor {
  readonly pid: number;
  stop(): Promise<void>;
}

/**
 *   running ──ended by itself──▶ restarting ──ready──▶ running
 *      │                           │   └──failed 5 times in a row──▶ onExit
 *      └──────────stop─────────────┴──▶ stopped
 */
export function keepRunning(
  first: MongodProcess,
  restart: () => Promise<MongodProcess>,
  say: (line: string) => void,
  onExit: (error: Error) => void,
): MongodSupervisor {
  const stopping = new AbortController();
  let current = first;
  let stopped: Promise<void> | undefined;

  const watch = async () => {
    let failures = 0;
    for (;;) {
      const since = performance.now();
      const why = await current.ended;
      if (stopping.signal.aborted) return;
      if (performance.now() - since > STABLE_AFTER_MS) failures = 0;
      let problem: string | undefined = `mongod (pid ${current.pid}) ended (${why})`;
      while (problem !== undefined && !stopping.signal.aborted) {
        if (failures === MAX_FAILURES) return onExit(new Error(`mongod does not stay up: ${problem}`));
        say(`${problem}; starting it again`);
        await sleep(BACKOFF_MS[failures], undefined, { signal: stopping.signal });
        failures += 1;
        problem = await tryRestart();
      }
    }
  };
  const tryRestart = async () => {
    try {
      current = await restart();
      say(`mongod runs again (pid ${current.pid})`);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  };
  // A stop interrupts a pause by an AbortError, which is its purpose.
  const watching = watch().catch((error: Error) => {
    if (!stopping.signal.aborted) onExit(error);
  });

  const stop = async () => {
    stopping.abort();
    await current.stop(say);
    await watching;
    // A restart under way when stop was called has ended by now, and may have brought a new process.
    if (!current.hasEnded()) await current.stop(say);
  };
  return {
    get pid() {
      return current.pid;
    },
    stop: () => (stopped ??= stop()),
  };
}
