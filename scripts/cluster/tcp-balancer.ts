import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";

export interface TcpBalancerOptions {
  /** On 127.0.0.1; 0 takes any free one. */
  readonly port: number;
  /** Ports on this machine for the next connection, best first: the first that accepts it has it. */
  readonly candidates: () => readonly number[];
  /** Certificate and private key as PEM: with them the balancer speaks TLS to clients, and plain TCP to the hubs. */
  readonly tlsBundle?: string;
}

/** Passes each connection on to one of several ports and knows nothing of what is said on it. */
export class TcpBalancer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #connections = new Map<number, number>();

  static async listen(options: TcpBalancerOptions): Promise<TcpBalancer> {
    const { port, candidates, tlsBundle } = options;
    const server = tlsBundle === undefined ? createServer() : createTlsServer({ cert: tlsBundle, key: tlsBundle });
    const balancer = new TcpBalancer(server, tlsBundle === undefined ? "connection" : "secureConnection", candidates);
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return balancer;
  }

  private constructor(server: Server, accepted: string, candidates: () => readonly number[]) {
    this.#server = server;
    // Also those that never finish their handshake.
    server.on("connection", (socket: Socket) => this.#track(socket));
    server.on(accepted, (client: Socket) => this.#tryNext(this.#track(client), candidates()));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Open connections to that port. */
  connectionsTo(port: number): number {
    return this.#connections.get(port) ?? 0;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #tryNext(client: Socket, [port, ...rest]: readonly number[]): void {
    if (port === undefined) {
      client.destroy();
      return;
    }
    const hub = this.#track(connect(port, "127.0.0.1"));
    const refused = () => this.#tryNext(client, rest);
    hub.once("error", refused);
    hub.once("connect", () => {
      hub.off("error", refused);
      this.#join(client, hub, port);
    });
  }

  /** Both ends close when one does. */
  #join(client: Socket, hub: Socket, port: number): void {
    this.#connections.set(port, this.connectionsTo(port) + 1);
    hub.on("close", () => {
      this.#connections.set(port, this.connectionsTo(port) - 1);
      client.destroy();
    });
    client.on("close", () => hub.destroy());
    if (client.destroyed) hub.destroy();
    client.pipe(hub).pipe(client);
  }

  /** An error is an end like any other. */
  #track(socket: Socket): Socket {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
    return socket;
  }
}
