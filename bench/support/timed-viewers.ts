import { setTimeout as sleep } from "node:timers/promises";
import { monotonicMs } from "./monotonic.ts";
import { BENCH_KEY } from "./processes.ts";
import { RawSocket } from "./raw-socket.ts";
import { type Percentiles, percentiles } from "./statistics.ts";
import { serve } from "./worker.ts";

/**
 * Viewers on several hubs, in their own process, that note how old each change is when its frame arrives: a change
 * carries the time of its publish call in its metadata. Frames are searched for it, not parsed, to stay cheap; that
 * each viewer gets every seq is checked from the numbers at their heads.
 */
export interface JoinTimedViewers {
  readonly urls: readonly string[];
  /** Dealt to the hubs in turn, and on each hub to the projects. */
  readonly viewers: number;
  readonly projectIds: readonly string[];
}

export interface TimedResult {
  /** Milliseconds from the publish call to the frame, by the hub of the viewer. */
  readonly hubs: readonly Percentiles[];
  readonly failures: readonly string[];
}

const MAX_FAILURES = 10;
const sockets: RawSocket[] = [];
const failures: string[] = [];
let measured: number[][] | undefined;

function fail(reason: string): void {
  if (failures.length < MAX_FAILURES) failures.push(reason);
}

async function join({ urls, viewers, projectIds }: JoinTimedViewers): Promise<void> {
  for (let index = 0; index < viewers; index += 1) {
    const hub = index % urls.length;
    const projectId = projectIds[Math.floor(index / urls.length) % projectIds.length] ?? "";
    const auth = { key: BENCH_KEY, protocol: 1 };
    const socket = await RawSocket.connect({ url: urls[hub] ?? "", namespace: "/viewers", auth });
    const viewer = { name: `viewer ${index}`, hub, position: 0 };
    socket.onPacket = (packet) => receive(viewer, packet.toString("latin1"));
    socket.onClose = () => fail(`${viewer.name}: connection closed`);
    const joined = await socket.request("project:join", { project_id: projectId });
    if (!joined.ok) throw new Error(`project:join refused: ${JSON.stringify(joined.error)}`);
    // A frame may have come in the same turn as the answer.
    viewer.position = Math.max(viewer.position, Number(joined.seq));
    sockets.push(socket);
  }
}

const SENT_AT = /"sent_at":([0-9.]+)/g;

function receive(viewer: { name: string; hub: number; position: number }, packet: string): boolean {
  if (!packet.includes('["changes",')) return false;
  const now = monotonicMs();
  const fromSeq = Number(/"from_seq":(\d+)/.exec(packet)?.[1]);
  if (viewer.position > 0 && fromSeq !== viewer.position + 1)
    fail(`${viewer.name}: a frame from ${fromSeq} after ${viewer.position}`);
  viewer.position = Number(/"to_seq":(\d+)/.exec(packet)?.[1]);
  if (measured === undefined) return true;
  for (const [, sentAt] of packet.matchAll(SENT_AT)) measured[viewer.hub]?.push(now - Number(sentAt));
  return true;
}

async function measure(window: {
  readonly hubs: number;
  readonly warmupMs: number;
  readonly windowMs: number;
}): Promise<TimedResult> {
  await sleep(window.warmupMs);
  const latencies = Array.from({ length: window.hubs }, (): number[] => []);
  measured = latencies;
  await sleep(window.windowMs);
  measured = undefined;
  return { hubs: latencies.map(percentiles), failures };
}

export const operations = { join, measure };
serve(operations);
