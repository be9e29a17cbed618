import { setTimeout as sleep } from "node:timers/promises";
import { DRIVERS, type DriverName } from "./drivers.ts";
import { type CpuUse, cpuBetween, sampleCpu } from "./process-usage.ts";
import type { RawSocket } from "./raw-socket.ts";
import { serve } from "./worker.ts";

/**
 * Agents that are only there: each has its connection and one open session, and sends heartbeats without ack at an
 * even pace, spread over the interval so that they do not come in step.
 */
export interface AddAgents {
  readonly driver: DriverName;
  readonly url: string;
  /** How many there shall be afterwards. */
  readonly agents: number;
  readonly projects: number;
}

export interface MeasureBeats {
  readonly windowMs: number;
  readonly pids: Readonly<Record<string, number>>;
}

export interface BeatsResult {
  readonly sent: number;
  readonly use: CpuUse;
}

interface Agent {
  readonly socket: RawSocket;
  readonly sessionId: string;
}

const OPENING_AT_ONCE = 50;
const TICK_MS = 10;

const agents: Agent[] = [];
let lost = 0;
let sent = 0;
let beatsPerSecond = 0;

async function add({ driver, url, agents: wanted, projects }: AddAgents): Promise<void> {
  const { connect, open } = DRIVERS[driver];
  const waiting = Array.from({ length: wanted - agents.length }, (_, index) => agents.length + index);
  const addNext = async () => {
    for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
      const socket = await connect(url, `beat-agent-${index}`);
      socket.onClose = () => {
        lost += 1;
      };
      const sessionId = `beat-session-${index}`;
      await open(socket, { sessionId, projectId: `beat-project-${index % projects}` });
      agents.push({ socket, sessionId });
    }
  };
  await Promise.all(Array.from({ length: OPENING_AT_ONCE }, addNext));
}

/** Sets the pace of all agents together; from the next tick on. */
function pace(rate: { beatsPerSecond: number }): void {
  beatsPerSecond = rate.beatsPerSecond;
}

let next = 0;
let owed = 0;
let lastTick = performance.now();
setInterval(() => {
  const now = performance.now();
  owed += ((now - lastTick) / 1000) * beatsPerSecond;
  lastTick = now;
  for (; owed >= 1 && agents.length > 0; owed -= 1) {
    const agent = agents[next++ % agents.length];
    if (agent) beat(agent, next);
  }
}, TICK_MS);

function beat({ socket, sessionId }: Agent, count: number): void {
  socket.send("heartbeat", {
    sessions: [
      {
        ...{ session_id: sessionId, incarnation: 1, progress: (count % 100) / 100 },
        ...{ activity: "Running the unit tests of the shared package", metrics: { tokens_per_s: count % 90 } },
      },
    ],
  });
  sent += 1;
}

async function measure({ windowMs, pids }: MeasureBeats): Promise<BeatsResult> {
  const before = sampleCpu({ ...pids, load: process.pid });
  const sentBefore = sent;
  await sleep(windowMs);
  return { sent: sent - sentBefore, use: cpuBetween(before, sampleCpu({ ...pids, load: process.pid })) };
}

/** One more heartbeat per agent, with ack: all before it on the same connection have then been taken in. */
async function settle(_: null): Promise<{ rejected: number; lost: number }> {
  let rejected = 0;
  for (const { socket, sessionId } of agents) {
    const ack = await socket.request("heartbeat", { sessions: [{ session_id: sessionId, incarnation: 1 }] });
    if (!ack.ok || "rejected" in ack) rejected += 1;
  }
  return { rejected, lost };
}

export const operations = { add, pace, measure, settle };
serve(operations);
