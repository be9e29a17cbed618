import { once } from "node:events";
import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage } from "node:http";
import { type AddressInfo, connect, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createServer as createTlsServer } from "node:tls";
import type { Certificates } from "./certificates.ts";
import type { Stage } from "./test-hub.ts";

/** Ends TLS in front of a hub, as a balancer does. */
export class TlsFront {
  readonly port: number;

  static async before(stage: Stage, port: number, { key, cert }: Certificates): Promise<TlsFront> {
    const sockets = new Set<Duplex>();
    const server = createTlsServer({ key, cert }, (client) => join(client, connect(port, "127.0.0.1"), sockets));
    // A client that speaks plain HTTP, or does not trust the certificate.
    server.on("tlsClientError", () => {});
    return new TlsFront(await listen(stage, server, sockets));
  }

  constructor(port: number) {
    this.port = port;
  }
}

interface ProxySettings {
  /** Names that only the proxy can resolve, each with the port on this machine. */
  readonly names: Readonly<Record<string, number>>;
  /** `user:password` that it wants. */
  readonly login?: string;
}

/** An HTTP proxy that knows CONNECT. */
export class ConnectProxy {
  readonly url: string;
  /** Authorities that were asked for, in order. */
  readonly asked: string[] = [];
  /** What it answers to everything instead; 0: nothing. */
  refuseWith: number | undefined;

  static async start(stage: Stage, settings: ProxySettings): Promise<ConnectProxy> {
    const sockets = new Set<Duplex>();
    const server = createHttpServer();
    const proxy = new ConnectProxy(await listen(stage, server, sockets));
    server.on("connection", (socket: Socket) => hold(socket, sockets));
    server.on("connect", (request: IncomingMessage, client: Duplex) =>
      proxy.#connect(settings, request, client, sockets),
    );
    return proxy;
  }

  constructor(port: number) {
    this.url = `http://127.0.0.1:${port}`;
  }

  #connect({ names, login }: ProxySettings, request: IncomingMessage, client: Duplex, sockets: Set<Duplex>): void {
    const authority = request.url ?? "";
    this.asked.push(authority);
    const given = Buffer.from(
      (request.headers["proxy-authorization"] ?? "").replace("Basic ", ""),
      "base64",
    ).toString();
    const port = names[authority.replace(/:\d+$/, "")];
    const status = this.refuseWith ?? (login !== undefined && given !== login ? 407 : port === undefined ? 502 : 200);
    if (status === 0) return;
    if (status !== 200 || port === undefined) {
      client.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    client.write("HTTP/1.1 200 Connection established\r\n\r\n");
    join(client, connect(port, "127.0.0.1"), sockets);
  }
}

async function listen(stage: Stage, server: Server | HttpServer, sockets: Set<Duplex>): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  stage.add(server, async () => {
    const closed = once(server, "close");
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  });
  return (server.address() as AddressInfo).port;
}

/** Each end closes with the other. */
function join(one: Duplex, other: Duplex, sockets: Set<Duplex>): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    hold(from, sockets);
    from.pipe(to);
    from.on("close", () => to.destroy());
  }
}

function hold(socket: Duplex, sockets: Set<Duplex>): void {
  if (sockets.has(socket)) return;
  sockets.add(socket);
  socket.on("error", () => {});
  socket.on("close", () => sockets.delete(socket));
}
