import { setTimeout as sleep } from "node:timers/promises";
import { realisticMetadata } from "./drivers.ts";
import { monotonicMs } from "./monotonic.ts";
import { type CpuUse, cpuBetween, sampleCpu } from "./process-usage.ts";
import { BENCH_KEY } from "./processes.ts";
import { RawSocket } from "./raw-socket.ts";
import { type Percentiles, percentiles } from "./statistics.ts";
import { serve } from "./worker.ts";

/**
 * Agents of several hubs in their own process, at a rate that does not depend on the answers: each publishes when it is
 * due, or as soon as its last publish is acked when that is later, and its latency counts from when it was due. What is
 * not acked is sent again with the same op, as a client does.
 */
export interface OpenPacedAgents {
  readonly urls: readonly string[];
  readonly agents: number;
  /** Agents are dealt to the projects in turn, and those of each project to the hubs. */
  readonly projects: number;
  readonly prefix: string;
}

export interface MeasurePaced {
  /** Changes a second of all agents together; 0: each publishes again as soon as it is acked. */
  readonly rate: number;
  readonly warmupMs: number;
  readonly windowMs: number;
  readonly pids: Readonly<Record<string, number>>;
}

export interface PacedResult {
  readonly acksPerSecond: number;
  /** Of all agents, and by hub. */
  readonly latencyMs: Percentiles;
  readonly hubs: readonly Percentiles[];
  readonly errors: Readonly<Record<string, number>>;
  /** Includes this process as `load`. */
  readonly use: CpuUse;
}

/** What was acked to a session: every op from 1 to this one. */
export interface AckedOps {
  readonly projectId: string;
  readonly sessionId: string;
  readonly incarnation: number;
  readonly ackedOps: number;
}

interface Agent {
  readonly socket: RawSocket;
  readonly hub: number;
  readonly projectId: string;
  readonly sessionId: string;
  readonly incarnation: number;
  ackedOps: number;
}

const OPENING_AT_ONCE = 50;
const RETRY_MS = 10;
/** An ack that takes longer than any promise; the run is over by then. */
const SETTLE_MS = 10_000;

const agents: Agent[] = [];

async function open({ urls, agents: count, projects, prefix }: OpenPacedAgents): Promise<void> {
  const waiting = Array.from({ length: count }, (_, index) => index);
  const openNext = async () => {
    for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
      // The agents of one project stand on different hubs.
      const hub = ((index % projects) + Math.floor(index / projects)) % urls.length;
      const projectId = `${prefix}-project-${index % projects}`;
      agents.push(await openOne(urls[hub] ?? "", hub, projectId, `${prefix}-session-${index}`));
    }
  };
  await Promise.all(Array.from({ length: OPENING_AT_ONCE }, openNext));
}

async function openOne(url: string, hub: number, projectId: string, sessionId: string): Promise<Agent> {
  const auth = { key: BENCH_KEY, protocol: 1, agent_id: sessionId, client: "bench/1" };
  const socket = await RawSocket.connect({ url, namespace: "/agents", auth });
  const session = { session_id: sessionId, project_id: projectId, machine_id: "bench-machine" };
  for (;;) {
    const opened = await socket.request("session:open", session);
    if (opened.ok) return { socket, hub, projectId, sessionId, incarnation: Number(opened.incarnation), ackedOps: 0 };
    await sleep(RETRY_MS);
  }
}

async function measure({ rate, warmupMs, windowMs, pids }: MeasurePaced): Promise<PacedResult> {
  const errors: Record<string, number> = {};
  const everyMs = rate === 0 ? 0 : (agents.length / rate) * 1_000;
  const begin = performance.now();
  let measured: number[][] | undefined;
  let isRunning = true;

  const publishForever = async (agent: Agent, index: number) => {
    let due = begin + (index / agents.length) * everyMs;
    for (let count = index; isRunning; count += 1) {
      const early = due - performance.now();
      if (early > 0) await sleep(early);
      if (!isRunning) return;
      const since = rate === 0 ? performance.now() : due;
      await publish(agent, count, errors);
      measured?.[agent.hub]?.push(performance.now() - since);
      due += everyMs;
    }
  };
  const loops = agents.map(publishForever);

  await sleep(warmupMs);
  const hubs = Math.max(...agents.map(({ hub }) => hub)) + 1;
  const latencies: number[][] = Array.from({ length: hubs }, () => []);
  const before = sampleCpu({ ...pids, load: process.pid });
  measured = latencies;
  await sleep(windowMs);
  measured = undefined;
  const use = cpuBetween(before, sampleCpu({ ...pids, load: process.pid }));
  isRunning = false;
  await Promise.race([Promise.all(loops), sleep(SETTLE_MS)]);
  const all = latencies.flat();
  return {
    acksPerSecond: all.length / use.seconds,
    latencyMs: percentiles(all),
    hubs: latencies.map(percentiles),
    errors,
    use,
  };
}

/** Until it is acked. */
async function publish(agent: Agent, count: number, errors: Record<string, number>): Promise<void> {
  const { socket, sessionId, incarnation } = agent;
  const metadata = { ...realisticMetadata(count), sent_at: monotonicMs() };
  const message = {
    session_id: sessionId,
    incarnation,
    op: agent.ackedOps + 1,
    changes: [{ kind: "session", metadata }],
  };
  for (;;) {
    const ack = await socket.request("changes:publish", message);
    if (ack.ok) break;
    const { code } = ack.error as { readonly code: string };
    errors[code] = (errors[code] ?? 0) + 1;
    await sleep(RETRY_MS);
  }
  agent.ackedOps += 1;
}

async function acked(_: null): Promise<AckedOps[]> {
  return agents.map(({ projectId, sessionId, incarnation, ackedOps }) => ({
    projectId,
    sessionId,
    incarnation,
    ackedOps,
  }));
}

export const operations = { open, measure, acked };
serve(operations);
