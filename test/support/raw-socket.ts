import { WebSocket } from "ws";
import { eventually } from "./eventually.ts";
import type { Stage } from "./test-hub.ts";
import type { Json } from "./wire.ts";

interface Address {
  readonly url: string;
  readonly key: string;
}

export type Namespace = "/agents" | "/viewers";

export interface UpgradeOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Appended to the query of the URL, e.g. `&key=…`. */
  readonly query?: string;
}

/** What a WebSocket upgrade that was refused was answered. */
export class UpgradeRefused extends Error {
  readonly status: number;
  readonly body: Json;

  constructor(status: number, body: string) {
    super(`upgrade refused with ${status}: ${body}`);
    this.status = status;
    this.body = body.startsWith("{") ? JSON.parse(body) : body;
  }
}

/**
 * An Engine.IO connection whose packets a test writes by hand, so that it can say what no library would. Pings are
 * answered; everything else that arrives stands in `packets`.
 */
export class RawSocket {
  readonly packets: string[] = [];
  /** Close code once the connection has ended. */
  closeCode: number | undefined;
  readonly #ws: WebSocket;
  #lastId = 0;

  constructor(ws: WebSocket) {
    this.#ws = ws;
    ws.on("message", (data: Buffer) => {
      const packet = data.toString();
      if (packet === "2") ws.send("3");
      else this.packets.push(packet);
    });
    ws.on("error", () => {});
    ws.on("close", (code) => {
      this.closeCode = code;
    });
  }

  /** Resolves when the hub has sent its Engine.IO handshake. */
  static async open(stage: Stage, hub: Address, options: UpgradeOptions = {}): Promise<RawSocket> {
    const url = `${hub.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket${options.query ?? ""}`;
    const ws = new WebSocket(url, { perMessageDeflate: false, headers: { ...options.headers } });
    const raw = stage.add(new RawSocket(ws), (open) => open.vanish());
    await new Promise<void>((resolve, reject) => {
      ws.once("message", () => resolve());
      ws.once("error", reject);
      ws.once("unexpected-response", (_request, response) => {
        let body = "";
        response.on("data", (chunk) => (body += chunk));
        response.on("end", () => reject(new UpgradeRefused(response.statusCode ?? 0, body)));
      });
    });
    return raw;
  }

  send(...frames: readonly (string | Uint8Array)[]): void {
    for (const frame of frames) this.#ws.send(frame);
  }

  /** All frames in one write to the TCP connection. */
  sendAtOnce(frames: readonly string[]): void {
    const { _socket: tcp } = this.#ws as unknown as { _socket: { cork(): void; uncork(): void } };
    tcp.cork();
    this.send(...frames);
    tcp.uncork();
  }

  /** One message in frames of one byte each. */
  sendFragments(message: string): void {
    for (const [index, byte] of [...message].entries()) this.#ws.send(byte, { fin: index === message.length - 1 });
  }

  /** Ends the TCP connection without a word. */
  vanish(): void {
    this.#ws.terminate();
  }

  /** Stops reading, so that not even a close frame is answered. */
  goDeaf(): void {
    this.#ws.pause();
  }

  /** Reads again. */
  listen(): void {
    this.#ws.resume();
  }

  /** What was heard of one kind of event, oldest first. */
  messages(namespace: Namespace, event: string): Json[] {
    const start = `42${namespace},["${event}",`;
    return this.packets
      .filter((packet) => packet.startsWith(start))
      .map((packet) => JSON.parse(packet.slice(packet.indexOf("[")))[1]);
  }

  /** Waits for a packet that begins like this, and returns the JSON behind it. */
  async hears(start: string, timeoutMs = 10_000): Promise<Json> {
    const found = await eventually(
      `a packet ${start}`,
      () => {
        const packet = this.packets.find((one) => one.startsWith(start));
        if (packet === undefined && this.closeCode !== undefined) {
          throw new Error(`closed with ${this.closeCode} before a packet ${start}: ${this.packets.join(" ")}`);
        }
        return packet;
      },
      timeoutMs,
    );
    const json = found.slice(start.length);
    return json === "" ? undefined : JSON.parse(json);
  }

  /** Sends a CONNECT and waits until it is accepted. */
  async join(namespace: Namespace, auth: object): Promise<void> {
    this.send(`40${namespace},${JSON.stringify(auth)}`);
    await this.hears(`40${namespace},`);
  }

  /** Sends the arguments of an event as they stand, with an ack id, and waits for the ack. */
  async ask(namespace: Namespace, args: string, timeoutMs?: number): Promise<Json> {
    this.#lastId += 1;
    const start = `43${namespace},${this.#lastId}[`;
    this.send(`42${namespace},${this.#lastId}${args}`);
    const found = await eventually(
      `the ack of ${args.slice(0, 100)}`,
      () => this.packets.find((packet) => packet.startsWith(start)) ?? (this.isOpen ? undefined : "closed"),
      timeoutMs,
    );
    if (found === "closed") throw new Error(`closed with ${this.closeCode} before the ack of ${args.slice(0, 100)}`);
    return JSON.parse(found.slice(start.length - 1))[0];
  }

  /** Waits for the end of the connection and returns its close code. */
  ends(timeoutMs = 5_000): Promise<number> {
    return eventually("the connection ends", () => this.closeCode, timeoutMs);
  }

  get isOpen(): boolean {
    return this.closeCode === undefined;
  }
}

/** A raw connection that has joined a namespace and heard its welcome. */
export async function rawJoined(stage: Stage, hub: Address, namespace: Namespace, auth: object = {}) {
  const raw = await RawSocket.open(stage, hub);
  await raw.join(namespace, { key: hub.key, ...auth });
  await raw.hears(`42${namespace},`);
  return raw;
}
