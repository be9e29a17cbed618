import { connect, type Socket } from "node:net";

export interface WireAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** One HTTP/1.1 connection on which bytes are written as they are and answers are read one after the other. */
export class HttpWire {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #wake = () => {};

  constructor(port: number) {
    this.#socket = connect(port, "127.0.0.1");
    this.#socket.on("data", (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => this.#wake());
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed && !this.#socket.readableEnded;
  }

  write(bytes: Uint8Array): void {
    if (this.#socket.writable) this.#socket.write(bytes);
  }

  /** Says that nothing more will come, as a client does that goes away in the middle. */
  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** The next answer; undefined when the connection ended before it, or it did not come in time. */
  async answer(method: string, withinMs: number): Promise<WireAnswer | undefined> {
    const until = performance.now() + withinMs;
    for (;;) {
      const answer = this.#take(method);
      if (answer !== undefined) return answer;
      const left = until - performance.now();
      if (!this.isOpen || left <= 0) return undefined;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  #take(method: string): WireAnswer | undefined {
    const end = this.#received.indexOf("\r\n\r\n");
    if (end < 0) return undefined;
    const [line = "", ...lines] = this.#received.toString("latin1", 0, end).split("\r\n");
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(line)?.[1]);
    const headers = new Map(
      lines.map((one): [string, string] => {
        const colon = one.indexOf(":");
        return [one.slice(0, colon).toLowerCase(), one.slice(colon + 1).trim()];
      }),
    );
    if (status === 100) {
      this.#received = this.#received.subarray(end + 4);
      return this.#take(method);
    }
    const hasBody = method !== "HEAD" && status !== 204 && status !== 304;
    const rest = this.#received.subarray(end + 4);
    const isChunked = headers.get("transfer-encoding") === "chunked";
    const length = Number(headers.get("content-length") ?? 0);
    const content = !hasBody ? whole(rest, 0) : isChunked ? unchunked(rest) : whole(rest, length);
    if (content === undefined) return undefined;
    this.#received = rest.subarray(content.bytes);
    return { status, headers, body: content.body };
  }
}

interface Content {
  readonly body: string;
  /** How many bytes it took. */
  readonly bytes: number;
}

function whole(received: Buffer, length: number): Content | undefined {
  return received.length < length ? undefined : { body: received.toString("utf8", 0, length), bytes: length };
}

function unchunked(received: Buffer): Content | undefined {
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const line = received.indexOf("\r\n", at);
    if (line < 0) return undefined;
    const length = Number.parseInt(received.toString("latin1", at, line), 16);
    const next = line + 2 + length + 2;
    if (received.length < next) return undefined;
    if (length === 0) return { body: Buffer.concat(chunks).toString(), bytes: next };
    chunks.push(received.subarray(line + 2, line + 2 + length));
    at = next;
  }
}
