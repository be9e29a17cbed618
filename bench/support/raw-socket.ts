import { WebSocket } from "ws";

/**
 * One namespace of one Socket.IO connection, spoken over a bare WebSocket: handshake, events, acks, pings, nothing
 * else. On two cores the load generator competes with what it measures, and this costs it about a third of what
 * socket.io-client does; it is also what a client in another language would write (Engine.IO 4, Socket.IO 5, JSON).
 */
export interface RawSocketOptions {
  /** `ws://127.0.0.1:PORT`. */
  readonly url: string;
  /** `/agents` or `/viewers`. */
  readonly namespace: string;
  readonly auth: Readonly<Record<string, unknown>>;
  readonly connectTimeoutMs?: number;
}

export type Ack = Readonly<Record<string, unknown>> & { readonly ok: boolean };

interface Pending {
  readonly resolve: (ack: Ack) => void;
  readonly reject: (error: Error) => void;
}

/** The connection ended before the answer came: whether the request was carried out is not known. */
export class ConnectionLost extends Error {}

/** The hub refused the CONNECT; `data` is what it said. */
export class ConnectRefused extends ConnectionLost {
  readonly data: { readonly code?: string; readonly retry_after_ms?: number };

  constructor(packet: string) {
    super(`refused: ${packet}`);
    this.data = (JSON.parse(packet.slice(packet.indexOf("{"))) as { data?: ConnectRefused["data"] }).data ?? {};
  }
}

const CONNECT_TIMEOUT_MS = 10_000;
/** In front of every packet of an event or ack stands `42/agents,` or `43/agents,`. */
const EVENT = "42";
const ACK = "43";

export class RawSocket {
  /** Called with event name and body for every event from the hub. */
  onEvent: (event: string, body: unknown) => void = () => {};
  /** Sees the bytes of an event first; true means it is dealt with and need not be parsed. */
  onPacket: (packet: Buffer) => boolean = () => false;
  onClose: () => void = () => {};

  readonly #ws: WebSocket;
  readonly #namespace: string;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #isOpen = true;

  /** Resolves when the namespace is connected; rejects with the code of the hub's refusal, or when nothing answers. */
  static connect(options: RawSocketOptions): Promise<RawSocket> {
    return new Promise((resolve, reject) => {
      const ws = new WebSocket(`${options.url}/socket.io/?EIO=4&transport=websocket`, { perMessageDeflate: false });
      const end = (error: ConnectionLost) => {
        clearTimeout(timer);
        ws.removeAllListeners();
        ws.on("error", () => {});
        ws.terminate();
        reject(error);
      };
      const fail = (reason: string) => end(new ConnectionLost(reason));
      let step = "upgrade";
      const late = () => fail(`the ${step} took too long`);
      const timer = setTimeout(late, options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS);
      ws.on("upgrade", () => {
        step = "Engine.IO handshake";
      });
      ws.on("error", (error) => fail(error.message));
      ws.on("close", () => fail("closed while connecting"));
      ws.on("message", (data: Buffer) => {
        const packet = data.toString();
        if (packet.startsWith("0")) {
          step = "CONNECT";
          ws.send(`40${options.namespace},${JSON.stringify(options.auth)}`);
        } else if (packet === "2") ws.send("3");
        else if (packet.startsWith(`44${options.namespace},`)) end(new ConnectRefused(packet));
        else if (packet.startsWith(`40${options.namespace},`)) {
          clearTimeout(timer);
          ws.removeAllListeners();
          resolve(new RawSocket(ws, options.namespace));
        }
      });
    });
  }

  private constructor(ws: WebSocket, namespace: string) {
    this.#ws = ws;
    this.#namespace = `${namespace},`;
    ws.on("message", (data: Buffer) => this.#receive(data));
    ws.on("error", () => {});
    ws.on("close", () => this.#closed());
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Sends an event and waits for its ack, without a timeout: a lost connection rejects it. */
  request(event: string, body: unknown): Promise<Ack> {
    return new Promise((resolve, reject) => {
      if (!this.#isOpen) return reject(new ConnectionLost("not connected"));
      const id = ++this.#lastId;
      this.#pending.set(id, { resolve, reject });
      this.#ws.send(`${EVENT}${this.#namespace}${id}["${event}",${JSON.stringify(body)}]`);
    });
  }

  /** Sends an event that wants no ack. */
  send(event: string, body: unknown): void {
    if (this.#isOpen) this.#ws.send(`${EVENT}${this.#namespace}["${event}",${JSON.stringify(body)}]`);
  }

  /** Ends the connection without a goodbye and without waiting. */
  terminate(): void {
    this.#ws.terminate();
    this.#closed();
  }

  #receive(data: Buffer): void {
    if (data.length === 1) {
      if (data[0] === 0x32) this.#ws.send("3");
      return;
    }
    const isEvent = data[1] === 0x32;
    if (isEvent && this.onPacket(data)) return;
    const packet = data.toString();
    const start = packet.indexOf("[");
    if (packet.startsWith(ACK)) {
      const id = Number(packet.slice(ACK.length + this.#namespace.length, start));
      const pending = this.#pending.get(id);
      this.#pending.delete(id);
      pending?.resolve((JSON.parse(packet.slice(start)) as [Ack])[0]);
    } else if (packet.startsWith(EVENT)) {
      const [event, body] = JSON.parse(packet.slice(start)) as [string, unknown];
      this.onEvent(event, body);
    } else if (packet.startsWith("41")) {
      this.terminate();
    }
  }

  #closed(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const pending of this.#pending.values()) pending.reject(new ConnectionLost("connection lost"));
    this.#pending.clear();
    this.onClose();
  }
}
