import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket } from "ws";
import type { Random } from "../../../test/support/random.ts";
import { nextFrames, type OddClient, type OddFrame } from "./odd-frames.ts";
import { newSpeaker } from "./odd-messages.ts";
import { Pace } from "./pace.ts";
import type { FuzzLoad, FuzzResult } from "./scene.ts";

const JOIN_MS = 2_000;
const END_MS = 5_000;
const LINGER_MS = 200;

/** Clients one after the other, each with a life of its own: CONNECT, mostly, and then whatever comes to its mind. */
export async function fuzzFrames({ hub, count, clients, perSecond, random }: FuzzLoad): Promise<FuzzResult> {
  const pace = new Pace(perSecond);
  const findings: string[] = [];
  const counts = { connections: 0, frames: 0, acks: 0, accepted: 0 };
  const share = Math.ceil(count / clients);

  async function client(index: number, own: Random): Promise<void> {
    for (let left = share; left > 0; ) {
      const before = counts.frames;
      left -= await live(index, own.fork(), left);
      // A hub that lets nobody in would keep this going for ever.
      if (counts.frames === before) await sleep(50);
    }
  }

  /** Returns how many frames it has sent. */
  async function live(index: number, life: Random, atMost: number): Promise<number> {
    const ws = new WebSocket(`${hub.url}/socket.io/?EIO=4&transport=websocket`, { perMessageDeflate: false });
    counts.connections += 1;
    const ended = new Promise<void>((resolve) => ws.once("close", () => resolve()));
    const joined = new Promise<void>((resolve) =>
      ws.on("message", (data: Buffer) => data.toString().startsWith("40/") && resolve()),
    );
    ws.on("error", () => {});
    ws.on("message", (data: Buffer) => judge(index, data.toString(), ws));
    const isOpen = await Promise.race([new Promise<boolean>((resolve) => ws.once("open", () => resolve(true))), ended]);
    if (isOpen !== true) {
      findings.push(`client ${index}: no connection`);
      return atMost;
    }
    const namespace = life.chance(0.75) ? "/agents" : "/viewers";
    const self: OddClient = { namespace, key: hub.key, ...newSpeaker(life) };
    const turns = life.integer(1, 150);
    let sent = 0;
    for (let turn = 0; turn < turns && sent < atMost && ws.readyState === WebSocket.OPEN; turn++) {
      const frames = nextFrames(life, self, turn);
      for (const frame of frames) send(ws, frame);
      sent += frames.length;
      counts.frames += frames.length;
      await pace.take(frames.length);
      // An event before the answer to the CONNECT ends the connection, which is dull every time.
      if (turn === 0 && life.chance(0.95)) await Promise.race([joined, ended, sleep(JOIN_MS)]);
    }
    // Some hear the answers, some are gone before.
    await sleep(life.integer(0, LINGER_MS));
    if (life.chance(0.5)) ws.terminate();
    else ws.close();
    const late = await Promise.race([ended, sleep(END_MS, "late" as const, { ref: false })]);
    if (late === "late") {
      findings.push(`client ${index}: its close was not answered within ${END_MS} ms`);
      ws.terminate();
    }
    return Math.max(1, sent);
  }

  function judge(index: number, packet: string, ws: WebSocket): void {
    if (packet === "2" && ws.readyState === WebSocket.OPEN) ws.send("3");
    // Socket.IO names the namespace that it does not know, whatever its client has written there.
    if (packet.endsWith('{"message":"Invalid namespace"}')) return;
    if (packet.includes(hub.key)) findings.push(`client ${index}: the key in ${packet.slice(0, 300)}`);
    if (!packet.startsWith("43")) return;
    counts.acks += 1;
    if (packet.includes('{"ok":true')) counts.accepted += 1;
    if (packet.includes('"code":"INTERNAL"')) findings.push(`client ${index}: ${packet.slice(0, 300)}`);
  }

  await Promise.all(Array.from({ length: clients }, (_, index) => client(index, random.fork())));
  return { counts, findings };
}

function send(ws: WebSocket, frame: OddFrame): void {
  if ("bytes" in frame) {
    const { _socket: tcp } = ws as unknown as { readonly _socket: { write(bytes: Uint8Array): void } };
    tcp.write(frame.bytes);
  } else {
    ws.send(frame.data, { fin: frame.fin, binary: frame.isBinary ?? false });
  }
}
