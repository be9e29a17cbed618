import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { frameHead } from "./frame-head.ts";
import { BENCH_KEY } from "./processes.ts";
import { RawSocket } from "./raw-socket.ts";
import { type Percentiles, percentiles } from "./statistics.ts";
import { serve } from "./worker.ts";

/** Viewers that read at once and tell how old a change is when it arrives, and viewers that read a KB a second. */
export interface JoinViewers {
  readonly url: string;
  readonly viewers: number;
  /** Viewers are dealt to the projects in turn. */
  readonly projects: number;
  readonly prefix: string;
}

export interface Watched {
  /** From the publish to the arrival, of the newest change in each frame that came inside the window. */
  readonly ageMs: Percentiles;
  readonly failures: readonly string[];
}

const JOINING_AT_ONCE = 25;
const MAX_FAILURES = 10;
const SENT_AT = '"sent_at":';
const SLOW_BYTES = 1_024;
const SLOW_EVERY_MS = 1_000;

const failures: string[] = [];
let ages: number[] = [];
let isMeasuring = false;

function fail(reason: string): void {
  if (failures.length < MAX_FAILURES) failures.push(reason);
}

async function join({ url, viewers, projects, prefix }: JoinViewers): Promise<void> {
  const waiting = Array.from({ length: viewers }, (_, index) => index);
  const joinNext = async () => {
    for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
      const viewer = index;
      const socket = await RawSocket.connect({ url, namespace: "/viewers", auth: { key: BENCH_KEY, protocol: 1 } });
      let seq: number | undefined;
      socket.onPacket = (packet) => {
        const head = frameHead(packet);
        if (head === undefined) return false;
        if (seq !== undefined && head.fromSeq !== seq + 1) fail(`viewer ${viewer}: ${head.fromSeq} after ${seq}`);
        seq = head.toSeq;
        if (isMeasuring) ages.push(Date.now() - sentAt(packet));
        return true;
      };
      socket.onClose = () => fail(`viewer ${viewer}: connection closed`);
      const joined = await socket.request("project:join", { project_id: `${prefix}-${viewer % projects}` });
      if (!joined.ok) throw new Error(`project:join refused: ${JSON.stringify(joined.error)}`);
    }
  };
  await Promise.all(Array.from({ length: JOINING_AT_ONCE }, joinNext));
}

function sentAt(packet: Buffer): number {
  const start = packet.lastIndexOf(SENT_AT) + SENT_AT.length;
  return Number.parseInt(packet.toString("latin1", start, start + 13), 10);
}

async function measure({ windowMs }: { readonly windowMs: number }): Promise<Watched> {
  ages = [];
  isMeasuring = true;
  await sleep(windowMs);
  isMeasuring = false;
  return { ageMs: percentiles(ages), failures };
}

/** Joined in good time, then slow: nothing is read but so many bytes every second, and the kernel's buffers fill. */
async function joinSlowly({ url, viewers, projects, prefix }: JoinViewers): Promise<void> {
  for (let index = 0; index < viewers; index += 1) await joinOneSlowly(url, `${prefix}-${index % projects}`);
}

const slow: { readonly socket: Socket; bytes: number; isOpen: boolean }[] = [];

/** By hand on the bare TCP connection: a WebSocket library reads whatever is there. */
async function joinOneSlowly(url: string, projectId: string): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const viewer = { socket, bytes: 0, isOpen: true };
  socket.on("error", () => {});
  socket.on("close", () => {
    viewer.isOpen = false;
  });
  const hears = (text: string) =>
    new Promise<void>((resolve, reject) => {
      let heard = "";
      const onData = (data: Buffer) => {
        heard += data.toString("latin1");
        if (!heard.includes(text)) return;
        socket.off("data", onData);
        resolve();
      };
      socket.on("data", onData);
      socket.once("close", () => reject(new Error(`closed before ${text}: ${heard}`)));
    });
  const upgrade = [
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
    `Host: ${hostname}:${port}`,
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${Buffer.alloc(16, 1).toString("base64")}`,
  ];
  const opened = hears('0{"sid"');
  socket.write(`${upgrade.join("\r\n")}\r\n\r\n`);
  await opened;
  const welcomed = hears('"welcome"');
  socket.write(textFrame(`40/viewers,${JSON.stringify({ key: BENCH_KEY, protocol: 1 })}`));
  await welcomed;
  const joined = hears('"ok":true');
  socket.write(textFrame(`42/viewers,0["project:join",${JSON.stringify({ project_id: projectId })}]`));
  await joined;
  socket.pause();
  slow.push(viewer);
}

/** A frame as a client sends it, masked with zeros. */
function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const length =
    payload.length < 126 ? [0x80 | payload.length] : [0x80 | 126, payload.length >> 8, payload.length & 255];
  return Buffer.concat([Buffer.from([0x81, ...length, 0, 0, 0, 0]), payload]);
}

setInterval(() => {
  for (const viewer of slow) {
    if (!viewer.isOpen) continue;
    // From the stream's own small buffer; it takes from the kernel what it needs to fill that again.
    const read = viewer.socket.read(SLOW_BYTES) as Buffer | null;
    viewer.bytes += read?.length ?? 0;
  }
}, SLOW_EVERY_MS);

/** How many are still connected, and what they have read. */
function slowOnes(_: null): { readonly open: number; readonly bytesRead: number } {
  const bytesRead = slow.reduce((sum, { bytes }) => sum + bytes, 0);
  return { open: slow.filter(({ isOpen }) => isOpen).length, bytesRead };
}

export const operations = { join, measure, joinSlowly, slowOnes };
serve(operations);
