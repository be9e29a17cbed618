import type { Socket } from "socket.io";

/** What waits in this process for the client at the other end to read it. */
export interface Outbox {
  /** Nothing waits. One look at a flag: to be asked before every frame. */
  readonly isDrained: boolean;
  /** The operating system took no more; false while things wait for nothing but the end of this turn. */
  readonly isBlocked: boolean;
  readonly bytes: number;
}

interface Packet {
  readonly data?: string;
  readonly options?: { readonly wsPreEncodedFrame?: readonly Buffer[] };
}

/** The library's own names, which its types keep private. */
interface Engine {
  readonly writeBuffer: Packet[];
  readonly packetsFn: unknown[];
  readonly pingTimeoutTimer: { refresh(): void } | null;
  readonly transport: { readonly writable: boolean };
}

interface WebSocketOfTransport {
  readonly bufferedAmount: number;
  close(code: number): void;
  terminate(): void;
}

export function transportSocket(conn: Socket["conn"]): WebSocketOfTransport | undefined {
  return (conn.transport as unknown as { readonly socket?: WebSocketOfTransport }).socket;
}

/**
 * Packets stand in engine.io's `writeBuffer` until the ones before them have left, and then in the buffers of ws, whose
 * `bufferedAmount` says nothing of the former. Counts each packet once: engine.io takes a new array with every flush.
 */
export class EngineOutbox implements Outbox {
  readonly #conn: Socket["conn"];
  readonly #engine: Engine;
  #counted: readonly Packet[] = [];
  #index = 0;
  #bytes = 0;

  constructor(conn: Socket["conn"]) {
    this.#conn = conn;
    this.#engine = conn as unknown as Engine;
  }

  /** The transport becomes writable when the last byte was handed to the operating system. */
  get isDrained(): boolean {
    return this.#engine.transport.writable;
  }

  get isBlocked(): boolean {
    return this.#buffered > 0;
  }

  get bytes(): number {
    if (this.isDrained) return 0;
    const { writeBuffer } = this.#engine;
    if (writeBuffer !== this.#counted) {
      this.#counted = writeBuffer;
      this.#index = 0;
      this.#bytes = 0;
    }
    for (; this.#index < writeBuffer.length; this.#index++) this.#bytes += bytesOf(writeBuffer[this.#index]);
    return this.#bytes + this.#buffered;
  }

  get #buffered(): number {
    return transportSocket(this.#conn)?.bufferedAmount ?? 0;
  }

  /** Forgets what was not yet handed to ws; what was cannot be taken back. */
  discard(): void {
    this.#engine.writeBuffer.length = 0;
    this.#engine.packetsFn.length = 0;
    this.#counted = [];
  }

  /** The answer to a ping cannot come before all that stands in front of the ping is read: begins its wait anew. */
  sparePing(): void {
    this.#engine.pingTimeoutTimer?.refresh();
  }
}

function bytesOf(packet: Packet | undefined): number {
  const frame = packet?.options?.wsPreEncodedFrame;
  if (frame !== undefined) return frame.reduce((bytes, part) => bytes + part.length, 0);
  return typeof packet?.data === "string" ? Buffer.byteLength(packet.data) : 0;
}
