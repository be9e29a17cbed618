import { once } from "node:events";
import { type AddressInfo, createConnection, createServer, type Server, type Socket } from "node:net";
import type { Stage } from "./test-hub.ts";

/** Stands between hubs and Redis, and can make subscriptions that are open now deaf: alive, but nothing arrives. */
export class RedisProxy {
  readonly #server: Server;
  readonly #links = new Set<{ readonly near: Socket; readonly far: Socket; isSubscribed: boolean }>();

  constructor(server: Server) {
    this.#server = server;
  }

  static async start(stage: Stage, redisPort: number): Promise<RedisProxy> {
    const server = createServer();
    const proxy = stage.add(new RedisProxy(server), (open) => open.stop());
    server.on("connection", (near: Socket) => proxy.#link(near, createConnection(redisPort, "127.0.0.1")));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How many subscriptions went deaf. */
  deafen(): number {
    const subscribed = [...this.#links].filter(({ isSubscribed }) => isSubscribed);
    for (const { far } of subscribed) far.pause();
    return subscribed.length;
  }

  stop(): void {
    for (const { near } of this.#links) near.destroy();
    this.#server.close();
  }

  #link(near: Socket, far: Socket): void {
    const link = { near, far, isSubscribed: false };
    this.#links.add(link);
    near.on("data", (data) => {
      link.isSubscribed ||= data.includes("ssubscribe");
      far.write(data);
    });
    far.on("data", (data) => near.write(data));
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on("error", () => {});
      one.on("close", () => {
        this.#links.delete(link);
        other.destroy();
      });
    }
  }
}
