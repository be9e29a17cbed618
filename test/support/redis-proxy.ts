import { once } from "node:events";
import { type AddressInfo, createConnection, createServer, type Server, type Socket } from "node:net";
import type { Stage } from "./test-hub.ts";

interface Link {
  readonly near: Socket;
  readonly far: Socket;
  isSubscribed: boolean;
}

/** Stands between hubs and Redis, and takes away what Redis says to the subscribed: for good, or for a moment. */
export class RedisProxy {
  /** How often entries were swallowed, in what came at once. */
  swallowedEntries = 0;
  readonly #server: Server;
  readonly #links = new Set<Link>();
  #isSwallowing = false;

  constructor(server: Server) {
    this.#server = server;
  }

  static async start(stage: Pick<Stage, "add">, redisPort: number): Promise<RedisProxy> {
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

  /** Subscriptions that are open now stay open, and nothing arrives any more. How many there are. */
  deafen(): number {
    const subscribed = [...this.#links].filter(({ isSubscribed }) => isSubscribed);
    for (const { far } of subscribed) far.pause();
    return subscribed.length;
  }

  /** What comes for the subscribed is lost, until `pass`. Only in quiet are these whole messages, as Redis would lose. */
  swallow(): void {
    this.#isSwallowing = true;
  }

  pass(): void {
    this.#isSwallowing = false;
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
    far.on("data", (data) => this.#toHub(link, data));
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

  #toHub({ near, isSubscribed }: Link, data: Buffer): void {
    if (!this.#isSwallowing || !isSubscribed || !data.includes("smessage")) near.write(data);
    else if (data.includes("entry")) this.swallowedEntries += 1;
  }
}
