import type { Config } from "../config.ts";
import type { Logger } from "../ports.ts";
import { pause } from "../timing.ts";
import { openStores } from "./stores.ts";

type Stores = Awaited<ReturnType<typeof openStores>>;
type Ports = Omit<Stores, "close" | "tokenSecret">;

/** One set of connections, and how many calls are under way on it. */
interface Generation {
  readonly stores: Stores;
  calls: number;
}

/** Longer than any one call may take; what hangs beyond it ends with its connection, and is asked again. */
const DRAIN_MS = 10_000;
const LOOK_MS = 20;

/**
 * The stores, which can be moved to other connections while they are used: calls that have begun end where they began,
 * new ones go to the new connections. An append that the old ones leave without an answer is sent again by the writer.
 */
export class SwitchedStores {
  readonly tokenSecret: string;
  readonly #open: (uri: string) => Promise<Stores>;
  readonly #log: Logger;
  #current: Generation;
  #closing: Promise<void>[] = [];
  #isClosed = false;

  private constructor(first: Stores, open: (uri: string) => Promise<Stores>, log: Logger) {
    this.tokenSecret = first.tokenSecret;
    this.#current = { stores: first, calls: 0 };
    this.#open = open;
    this.#log = log;
  }

  /** @throws StartupError */
  static async open(config: Config, uri: string, log: Logger, onPrimaryChange: () => void): Promise<SwitchedStores> {
    const open = (at: string) => openStores(config, at, log, onPrimaryChange);
    return new SwitchedStores(await open(uri), open, log);
  }

  /** Ports that stay valid whatever they lead to. */
  get ports(): Ports {
    const names = Object.keys(this.#current.stores).filter((name) => name !== "close" && name !== "tokenSecret");
    return Object.fromEntries(names.map((name) => [name, this.#port(name as keyof Ports)])) as unknown as Ports;
  }

  /**
   * Rejects, and leaves everything as it is, when nothing answers there or it is another database.
   *
   * @throws StartupError
   */
  async switchTo(uri: string): Promise<void> {
    const stores = await this.#open(uri);
    if (stores.tokenSecret !== this.tokenSecret || this.#isClosed) {
      await stores.close();
      throw new Error("it names another database; that takes a restart");
    }
    const former = this.#current;
    this.#current = { stores, calls: 0 };
    this.#log.info({ under_way: former.calls }, "mongodb: moved to new connections, the former ones are drained");
    this.#closing.push(this.#drain(former));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#current.stores.close();
    await Promise.all(this.#closing);
  }

  async #drain(former: Generation): Promise<void> {
    const until = performance.now() + DRAIN_MS;
    while (former.calls > 0 && performance.now() < until && !this.#isClosed) await pause(LOOK_MS);
    try {
      await former.stores.close();
      this.#log.info({ given_up: former.calls }, "mongodb: the former connections are closed");
    } catch (error) {
      this.#log.warn({ err: error }, "mongodb: the former connections did not close well");
    }
  }

  #port<N extends keyof Ports>(name: N): Ports[N] {
    return new Proxy({} as Ports[N], {
      get: (_target, member) => {
        const generation = this.#current;
        const port = generation.stores[name];
        const value: unknown = Reflect.get(port, member, port);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => counted(generation, value.apply(port, args));
      },
    });
  }
}

function counted(generation: Generation, result: unknown): unknown {
  if (result instanceof Promise) {
    generation.calls += 1;
    return result.finally(() => {
      generation.calls -= 1;
    });
  }
  return isAsyncIterable(result) ? countedIteration(generation, result) : result;
}

async function* countedIteration<T>(generation: Generation, items: AsyncIterable<T>): AsyncIterable<T> {
  generation.calls += 1;
  try {
    yield* items;
  } finally {
    generation.calls -= 1;
  }
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}
