import { setTimeout as sleep } from "node:timers/promises";
import { DRIVERS, type DriverName, type PublishingSession, realisticMetadata } from "./drivers.ts";
import { type CpuUse, cpuBetween, sampleCpu } from "./process-usage.ts";
import type { RawSocket } from "./raw-socket.ts";
import { type Percentiles, percentiles } from "./statistics.ts";
import { serve } from "./worker.ts";

/**
 * Closed-loop load, in its own process: every agent has its connection and its session, publishes a change, waits for
 * its ack, publishes the next. Nothing is paced, so the rate is what the hub can take from that many agents.
 */
export interface OpenAgents {
  readonly driver: DriverName;
  readonly url: string;
  readonly agents: number;
  /** Agents are dealt to the projects in turn. */
  readonly projects: number;
  /** Makes ids of this run distinct from those of other runs on the same database. */
  readonly prefix: string;
}

export interface MeasureAgents {
  readonly warmupMs: number;
  readonly windowMs: number;
  /** Processes whose CPU is sampled at both edges of the window, by name. */
  readonly pids: Readonly<Record<string, number>>;
}

export interface AgentsResult {
  /** Changes acked inside the window. */
  readonly acks: number;
  readonly acksPerSecond: number;
  readonly latencyMs: Percentiles;
  /** Refusals and failures by code, over the whole run. */
  readonly errors: Readonly<Record<string, number>>;
  /** Includes this process as `load`. */
  readonly use: CpuUse;
}

/** Sessions are opened by this many agents at a time: a start, not a reconnect storm. */
const OPENING_AT_ONCE = 50;
const RETRY_MS = 10;

const sockets: RawSocket[] = [];
const sessions: PublishingSession[] = [];

async function open({ driver, url, agents, projects, prefix }: OpenAgents): Promise<void> {
  const { connect, open } = DRIVERS[driver];
  const waiting = Array.from({ length: agents }, (_, index) => index);
  const openNext = async () => {
    for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
      const socket = await connect(url, `${prefix}-agent-${index}`);
      sockets.push(socket);
      const projectId = `${prefix}-project-${index % projects}`;
      sessions.push(await open(socket, { sessionId: `${prefix}-session-${index}`, projectId }));
    }
  };
  await Promise.all(Array.from({ length: OPENING_AT_ONCE }, openNext));
}

async function measure({ warmupMs, windowMs, pids }: MeasureAgents): Promise<AgentsResult> {
  const errors: Record<string, number> = {};
  let latencies: number[] = [];
  let isRunning = true;

  const publishForever = async (session: PublishingSession, index: number) => {
    for (let count = index; isRunning; count += 1) {
      const sentAt = performance.now();
      const ack = await session.publish(realisticMetadata(count)).catch((error: Error) => error);
      if (!(ack instanceof Error) && ack.ok) {
        latencies.push(performance.now() - sentAt);
        continue;
      }
      if (!isRunning) return;
      const code = ack instanceof Error ? ack.constructor.name : errorCode(ack.error);
      errors[code] = (errors[code] ?? 0) + 1;
      await sleep(RETRY_MS);
    }
  };
  const loops = sessions.map(publishForever);

  await sleep(warmupMs);
  latencies = [];
  const before = sampleCpu({ ...pids, load: process.pid });
  await sleep(windowMs);
  const after = sampleCpu({ ...pids, load: process.pid });
  const measured = latencies;
  latencies = [];
  isRunning = false;
  await Promise.race([Promise.all(loops), sleep(5_000)]);

  const use = cpuBetween(before, after);
  return {
    acks: measured.length,
    acksPerSecond: measured.length / use.seconds,
    latencyMs: percentiles(measured),
    errors,
    use,
  };
}

function errorCode(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error ? String(error.code) : "unknown";
}

async function close(_: null): Promise<void> {
  for (const socket of sockets.splice(0)) socket.terminate();
  sessions.splice(0);
}

export const operations = { open, measure, close };
serve(operations);
