import { connect, createServer, type Server, type Socket } from "node:net";
import { freePort } from "./start-hub.ts";
import type { Stage } from "./test-hub.ts";

/** A TCP balancer as stands in front of a fleet: each connection goes to the next hub in turn that accepts it. */
export class Balancer {
  readonly url: string;
  /** Ports of the hubs in rotation. */
  readonly ports: Set<number>;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #turn = 0;

  static async start(stage: Stage, hubs: readonly { readonly port: number }[]): Promise<Balancer> {
    const port = await freePort();
    const balancer = new Balancer(port, hubs);
    return stage.add(balancer, (open) => open.close());
  }

  constructor(port: number, hubs: readonly { readonly port: number }[]) {
    this.url = `http://127.0.0.1:${port}`;
    this.ports = new Set(hubs.map((hub) => hub.port));
    this.#server = createServer((client) => this.#forward(client)).listen(port, "127.0.0.1");
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #forward(client: Socket): void {
    this.#turn += 1;
    const ports = [...this.ports];
    const inTurn = ports.map((_, index) => ports[(this.#turn + index) % ports.length] as number);
    this.#track(client);
    this.#tryNext(client, inTurn);
  }

  #tryNext(client: Socket, ports: readonly number[]): void {
    const [port, ...rest] = ports;
    if (port === undefined) {
      client.destroy();
      return;
    }
    const hub = this.#track(connect(port, "127.0.0.1"));
    const refused = () => this.#tryNext(client, rest);
    hub.once("error", refused);
    hub.once("connect", () => {
      hub.off("error", refused);
      client.pipe(hub).pipe(client);
      hub.on("close", () => client.destroy());
      client.on("close", () => hub.destroy());
    });
  }

  /** Both ends close when one does; an error is such an end. */
  #track(socket: Socket): Socket {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
    return socket;
  }
}
