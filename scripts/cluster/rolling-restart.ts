import { setTimeout as sleep } from "node:timers/promises";
import { StartupError } from "../../server/startup-error.ts";

export interface FleetHub {
  readonly name: string;
  /** Undefined between the end of one process and the start of the next. */
  readonly pid: number | undefined;
}

/** Hubs that somebody starts again when they end (the cluster, systemd, a container engine), behind a balancer. */
export interface Fleet {
  /** As they are now; always the same names. */
  hubs(): readonly FleetHub[];
  /** Asks this process to stop in order (SIGTERM). */
  terminate(hub: FleetHub): void;
  /** Its own word: `/health/ready` is 200. Does not reject. */
  isReady(name: string): Promise<boolean>;
  /** Hubs that get new connections from the balancer. Does not reject. */
  inRotation(): Promise<ReadonlySet<string>>;
}

export interface Restarted {
  readonly name: string;
  /** SIGTERM to the end of the process. */
  readonly stop_ms: number;
  /** From there until its successor was ready. */
  readonly ready_ms: number;
  /** From there until the balancer sent it connections. */
  readonly rotation_ms: number;
}

/** Longest waits. A drain ends after 25 s at the latest; a start may have to wait for MongoDB. */
export const RESTART_BOUNDS = { wholeMs: 60_000, stopMs: 30_000, readyMs: 60_000, rotationMs: 15_000 };

const POLL_MS = 50;

/**
 * Restarts hubs one after the other. A hub is touched only when all of them are ready and in rotation, so at any time
 * at most one is missing; whatever does not come about in its time ends the whole, and leaves the hubs that are well alone.
 *
 * @param names which hubs; all of them by default
 * @throws StartupError that says what did not come about
 */
export async function rollingRestart(
  fleet: Fleet,
  tell: (restarted: Restarted) => void,
  names: readonly string[] = fleet.hubs().map(({ name }) => name),
  bounds: Readonly<typeof RESTART_BOUNDS> = RESTART_BOUNDS,
): Promise<void> {
  for (const name of names) {
    await waitFor(`all hubs are ready and in rotation, before ${name} is stopped`, bounds.wholeMs, () =>
      isWhole(fleet),
    );
    tell(await restart(fleet, name, bounds));
  }
}

async function restart(fleet: Fleet, name: string, bounds: typeof RESTART_BOUNDS): Promise<Restarted> {
  const pidNow = () => fleet.hubs().find((hub) => hub.name === name)?.pid;
  const pid = pidNow();
  if (pid === undefined) throw new StartupError(`there is no process of ${name}`);
  fleet.terminate({ name, pid });
  const stop_ms = await waitFor(`${name} (pid ${pid}) ends`, bounds.stopMs, () => pidNow() !== pid);
  const ready_ms = await waitFor(
    `${name} is started again and ready`,
    bounds.readyMs,
    async () => pidNow() !== undefined && (await fleet.isReady(name)),
  );
  const rotation_ms = await waitFor(`the balancer sends connections to ${name}`, bounds.rotationMs, async () =>
    (await fleet.inRotation()).has(name),
  );
  return { name, stop_ms, ready_ms, rotation_ms };
}

async function isWhole(fleet: Fleet): Promise<boolean> {
  const up = await fleet.inRotation();
  const looks = await Promise.all(fleet.hubs().map(async ({ name }) => up.has(name) && (await fleet.isReady(name))));
  return looks.every(Boolean);
}

/** How long it took, in whole milliseconds. */
async function waitFor(what: string, withinMs: number, condition: () => boolean | Promise<boolean>): Promise<number> {
  const startedAt = performance.now();
  for (;;) {
    if (await condition()) return Math.round(performance.now() - startedAt);
    if (performance.now() - startedAt > withinMs) {
      throw new StartupError(`rolling restart stopped: waited ${withinMs / 1_000} s until ${what}`);
    }
    await sleep(POLL_MS);
  }
}
