import type { BOUNDS } from "../bounds.ts";
import type { Logger } from "../ports.ts";
import { pause } from "../timing.ts";
import { explainTrouble } from "./explain-trouble.ts";
import type { RedisAddress } from "./redis-url.ts";
import { SafeRedis } from "./safe-redis.ts";

interface Options {
  readonly address: RedisAddress;
  /** Of the connections, as `CLIENT LIST` shows them. */
  readonly name: string;
  readonly bounds: typeof BOUNDS;
  readonly log: Logger;
  /** Both connections are up and every channel is subscribed to. Comes again after every loss. */
  readonly onUp: () => void;
  readonly onDown: () => void;
  /** A publish did not reach Redis, or not in time. */
  readonly onLost: () => void;
}

type MessageHandler = (channel: Buffer, message: Buffer) => void;

/** What the Socket.IO adapter takes for a Redis client that publishes. */
interface Publisher {
  spublish(channel: string, message: Buffer | string): Promise<number>;
}

/** What it takes for one that subscribes. */
interface Subscriber {
  on(event: string, handler: MessageHandler): void;
  ssubscribe(channel: string): void;
  sunsubscribe(channel: string): void;
}

/**
 * Two connections to one Redis, one to publish and one that is subscribed. Both come back by themselves; nothing is
 * kept for later while one is away, and no more than a bound of bytes waits for an answer.
 */
export class RedisLink {
  /** Why the link is down, for operators. */
  trouble: string | undefined;
  readonly #options: Options;
  readonly #publishing: SafeRedis;
  readonly #subscribed: SafeRedis;
  readonly #channels = new Set<string>();
  #isUp = false;
  #isStopped = false;
  #pendingBytes = 0;

  constructor(options: Options) {
    this.#options = options;
    this.#publishing = this.#client("pub");
    this.#subscribed = this.#client("sub");
  }

  /** @param onMessage hears every message of every channel, before the adapter could */
  facade(onMessage: (message: Buffer, deliver: () => void) => void): { publisher: Publisher; subscriber: Subscriber } {
    return {
      publisher: { spublish: (channel, message) => this.#publish(channel, message) },
      subscriber: {
        // Subscribed to on every connection anew, so that it is known from when on nothing can be missed.
        ssubscribe: (channel) => void this.#channels.add(channel),
        sunsubscribe: (channel) => void this.#channels.delete(channel),
        on: (event, handler) => {
          this.#subscribed.on(event, (channel: Buffer, message: Buffer) =>
            onMessage(message, () => handler(channel, message)),
          );
        },
      },
    };
  }

  connect(): void {
    // It goes on trying; the event `error` says why it failed.
    for (const client of this.#clients) client.connect().catch(() => {});
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Of publishes that Redis has not answered. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Whether a publish of so many bytes would be sent now. */
  canPublish(bytes: number): boolean {
    return this.#publishing.status === "ready" && this.#pendingBytes + bytes <= this.#options.bounds.fanOutPendingBytes;
  }

  /** Both connections are open and past their login, subscribed or not: silent is all that they can be by now. */
  get isOpen(): boolean {
    return this.#clients.every(({ status }) => status === "ready");
  }

  /** Gives up connections that are open but silent, and tries new ones. */
  renew(): void {
    for (const client of this.#clients) if (client.status === "ready") client.disconnect(true);
  }

  /** What was published last may still arrive; then both connections are closed. */
  async stop(): Promise<void> {
    const { bounds } = this.#options;
    const until = performance.now() + bounds.redisCommandMs;
    while (this.#pendingBytes > 0 && performance.now() < until) await pause(10);
    this.#isStopped = true;
    for (const client of this.#clients) client.disconnect();
  }

  get #clients(): readonly SafeRedis[] {
    return [this.#publishing, this.#subscribed];
  }

  #client(role: "pub" | "sub"): SafeRedis {
    const { address, name, bounds, log } = this.#options;
    const client = new SafeRedis(address, `${name}-${role}`, bounds.redisCommandMs);
    client.on("ready", () => void this.#onReady());
    client.on("close", () => this.#onClose());
    client.on("error", (error: Error) => {
      // Without the error itself: a refused login carries its command, and that the password.
      this.trouble = explainTrouble(error);
      log.debug({ role, trouble: this.trouble }, "redis connection failed");
    });
    return client;
  }

  async #onReady(): Promise<void> {
    if (this.#isStopped || !this.isOpen) return;
    try {
      await this.#subscribed.ssubscribe(...this.#channels);
    } catch (error) {
      this.trouble = explainTrouble(error as Error);
      return;
    }
    if (this.#isUp || !this.isOpen) return;
    this.#isUp = true;
    this.trouble = undefined;
    this.#options.onUp();
  }

  #onClose(): void {
    if (!this.#isUp || this.#isStopped) return;
    this.#isUp = false;
    this.#options.onDown();
  }

  async #publish(channel: string, message: Buffer | string): Promise<number> {
    const bytes = Buffer.byteLength(message);
    this.#pendingBytes += bytes;
    try {
      return (await this.#publishing.spublish(channel, message)) as number;
    } catch {
      this.#options.onLost();
      return 0;
    } finally {
      this.#pendingBytes -= bytes;
    }
  }
}
