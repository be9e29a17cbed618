import { setTimeout as sleep } from "node:timers/promises";
import { frameHead } from "./frame-head.ts";
import { type CpuUse, cpuBetween, sampleCpu } from "./process-usage.ts";
import { BENCH_KEY } from "./processes.ts";
import { RawSocket } from "./raw-socket.ts";
import { serve } from "./worker.ts";

/**
 * Many viewers of one project in their own process. To stay cheaper than what it measures, only the first viewer
 * parses its frames in full; of the others only the numbers at the head of a frame are read, and that every viewer got
 * every seq, in order and without a hole, is checked from those. That the rest of a frame is the same for all is
 * checked by its length.
 */
export interface JoinViewers {
  readonly url: string;
  readonly viewers: number;
  readonly projectId: string;
}

export interface MeasureViewers {
  readonly warmupMs: number;
  readonly windowMs: number;
  readonly pids: Readonly<Record<string, number>>;
}

export interface ViewersResult {
  /** Changes times viewers that arrived inside the window. */
  readonly delivered: number;
  readonly framesPerViewer: number;
  readonly changesPerFrame: number;
  /** Includes this process as `viewers`. */
  readonly use: CpuUse;
}

export interface ViewersCheck {
  /** Lowest and highest seq that a viewer has reached; equal when all have all. */
  readonly lowestSeq: number;
  readonly highestSeq: number;
  readonly failures: readonly string[];
}

const JOINING_AT_ONCE = 50;
const MAX_FAILURES = 10;

const sockets: RawSocket[] = [];
const positions: number[] = [];
const failures: string[] = [];
/** Length of the frame that starts at a seq, as the first viewer to get it saw it. */
const frameLengths = new Map<number, number>();
let delivered = 0;
let frames = 0;

function fail(reason: string): void {
  if (failures.length < MAX_FAILURES) failures.push(reason);
}

async function join({ url, viewers, projectId }: JoinViewers): Promise<void> {
  const waiting = Array.from({ length: viewers }, (_, index) => index);
  const joinNext = async () => {
    for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
      const socket = await RawSocket.connect({ url, namespace: "/viewers", auth: { key: BENCH_KEY, protocol: 1 } });
      const viewer = index;
      socket.onPacket = (packet) => receive(viewer, packet);
      socket.onEvent = (event, body) => {
        if (event === "project:reset" || event === "closing" || event === "mode")
          fail(`viewer ${viewer}: ${event} ${JSON.stringify(body)}`);
      };
      socket.onClose = () => fail(`viewer ${viewer}: connection closed`);
      const joined = await socket.request("project:join", { project_id: projectId });
      if (!joined.ok) throw new Error(`project:join refused: ${JSON.stringify(joined.error)}`);
      positions[viewer] = Math.max(positions[viewer] ?? 0, Number(joined.seq));
      sockets.push(socket);
    }
  };
  await Promise.all(Array.from({ length: JOINING_AT_ONCE }, joinNext));
}

function receive(viewer: number, packet: Buffer): boolean {
  const head = frameHead(packet);
  if (head === undefined) return false;
  const { fromSeq, toSeq } = head;
  const expected = (positions[viewer] ?? 0) + 1;
  if (fromSeq !== expected) fail(`viewer ${viewer}: expected seq ${expected}, got a frame from ${fromSeq}`);
  if (head.isConflated) fail(`viewer ${viewer}: conflated frame at ${fromSeq}`);
  positions[viewer] = toSeq;
  delivered += toSeq - fromSeq + 1;
  frames += 1;
  if (viewer === 0) checkInFull(packet, fromSeq, toSeq);
  const length = frameLengths.get(fromSeq);
  if (length === undefined) frameLengths.set(fromSeq, packet.length);
  else if (length !== packet.length) fail(`viewer ${viewer}: another frame at ${fromSeq} than the viewer before`);
  return true;
}

function checkInFull(packet: Buffer, fromSeq: number, toSeq: number): void {
  const text = packet.toString();
  const [, frame] = JSON.parse(text.slice(text.indexOf("["))) as [string, { changes: { seq: number }[] }];
  const seqs = frame.changes.map((change) => change.seq);
  const isWhole = seqs.length === toSeq - fromSeq + 1 && seqs.every((seq, index) => seq === fromSeq + index);
  if (!isWhole) fail(`frame ${fromSeq} to ${toSeq} holds seqs ${seqs.join(",")}`);
}

async function measure({ warmupMs, windowMs, pids }: MeasureViewers): Promise<ViewersResult> {
  await sleep(warmupMs);
  const before = sampleCpu({ ...pids, viewers: process.pid });
  const [deliveredBefore, framesBefore] = [delivered, frames];
  await sleep(windowMs);
  const use = cpuBetween(before, sampleCpu({ ...pids, viewers: process.pid }));
  const [changes, arrived] = [delivered - deliveredBefore, frames - framesBefore];
  return {
    delivered: changes,
    framesPerViewer: arrived / Math.max(1, positions.length),
    changesPerFrame: arrived === 0 ? 0 : changes / arrived,
    use,
  };
}

/** After the load has stopped: waits until nothing arrives any more, then says where the viewers stand. */
async function check(_: null): Promise<ViewersCheck> {
  for (let seen = -1; seen !== delivered; ) {
    seen = delivered;
    await sleep(500);
  }
  return { lowestSeq: Math.min(...positions), highestSeq: Math.max(...positions), failures };
}

export const operations = { join, measure, check };
serve(operations);
