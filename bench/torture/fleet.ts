import { RedisProxy } from "../../test/support/redis-proxy.ts";
import type { RedisServer } from "../../test/support/redis-server.ts";
import {
  BENCH_KEY,
  freePort,
  launchHub,
  type RunningMongod,
  type StartingServer,
  startMongod,
  temporaryFolder,
  until,
} from "../support/processes.ts";
import { startRedis } from "../support/redis.ts";
import type { Door } from "./torture-agent.ts";

export interface FleetOptions {
  readonly hubs: number;
  /** Proxied: each hub reaches it by a way of its own that can be broken. */
  readonly redis: "none" | "direct" | "proxied";
  readonly env: Readonly<Record<string, string>>;
}

/** What `/health/ready` tells an operator of Redis. */
export interface RedisCheck {
  readonly status: "ok" | "degraded";
  readonly received: number;
  readonly garbage: number;
  readonly dropped: number;
  readonly pending_bytes: number;
}

interface Place {
  readonly port: number;
  readonly env: Readonly<Record<string, string>>;
  hub: StartingServer;
}

const DATABASE = "torture";

/** Real processes: a mongod, hubs on it, and where wanted a Redis between them. */
export class Fleet {
  readonly mongod: RunningMongod;
  /** Undefined when hubs were to be without. */
  readonly redis: RedisServer | undefined;
  /** One for each hub where Redis is proxied. */
  readonly proxies: readonly RedisProxy[];
  readonly #places: readonly Place[];
  readonly #closers: (() => unknown)[];

  static async start({ hubs, redis: way, env }: FleetOptions): Promise<Fleet> {
    const closers: (() => unknown)[] = [];
    const stage = {
      add<T>(thing: T, close: (thing: T) => unknown): T {
        closers.push(() => close(thing));
        return thing;
      },
    };
    const mongod = await startMongod();
    const redis = way === "none" ? undefined : await startRedis();
    if (redis) stage.add(redis, () => redis.kill());
    const places: Place[] = [];
    const proxies: RedisProxy[] = [];
    for (let index = 0; index < hubs; index++) {
      const proxy = redis && way === "proxied" ? await RedisProxy.start(stage, redis.port) : undefined;
      if (proxy) proxies.push(proxy);
      const redisUrl = (proxy ?? redis)?.url;
      const port = await freePort();
      const settings = {
        LOG_LEVEL: "error",
        HUB_ID: `hub-${index}`,
        ...(redisUrl === undefined ? {} : { REDIS_URL: redisUrl }),
        ...env,
        DATA_DIR: temporaryFolder(),
      };
      places.push({ port, env: settings, hub: await launch(mongod, port, settings) });
    }
    const fleet = new Fleet(mongod, redis, proxies, places, closers);
    await Promise.all(places.map(({ hub }) => hub.ready));
    await fleet.isLive();
    return fleet;
  }

  private constructor(
    mongod: RunningMongod,
    redis: RedisServer | undefined,
    proxies: readonly RedisProxy[],
    places: readonly Place[],
    closers: (() => unknown)[],
  ) {
    this.mongod = mongod;
    this.redis = redis;
    this.proxies = proxies;
    this.#places = places;
    this.#closers = closers;
  }

  get databaseUri(): string {
    return this.mongod.uri(DATABASE);
  }

  get doors(): readonly Door[] {
    return this.#places.map(({ port }, hub) => ({ hub, url: `ws://127.0.0.1:${port}` }));
  }

  get pids(): readonly number[] {
    return this.#places.map(({ hub }) => hub.pid);
  }

  async killHub(index: number): Promise<void> {
    await this.#at(index).hub.kill();
  }

  /** In order, as a supervisor ends it. */
  async stopHub(index: number): Promise<void> {
    await this.#at(index).hub.stop();
  }

  /** The one that was killed comes again on its port; resolves when its process runs, `hubReady` when it answers. */
  async restartHub(index: number): Promise<void> {
    const place = this.#at(index);
    place.hub = await launch(this.mongod, place.port, place.env);
  }

  async hubReady(index: number): Promise<void> {
    await this.#at(index).hub.ready;
  }

  freezeHub(index: number): void {
    process.kill(this.#at(index).hub.pid, "SIGSTOP");
  }

  thawHub(index: number): void {
    process.kill(this.#at(index).hub.pid, "SIGCONT");
  }

  /** Undefined where a hub has no Redis, or does not answer. */
  async redisCheck(index: number): Promise<RedisCheck | undefined> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.#at(index).port}/health/ready`, {
        headers: { "X-Api-Key": BENCH_KEY },
        signal: AbortSignal.timeout(1_000),
      });
      return ((await response.json()) as { checks?: { redis?: RedisCheck } }).checks?.redis;
    } catch {
      return undefined;
    }
  }

  /** All hubs hear each other through Redis. */
  async isLive(): Promise<void> {
    if (this.redis === undefined) return;
    const hubs = this.#places.map((_, index) => index);
    await until("all hubs are live", async () => {
      const checks = await Promise.all(hubs.map((hub) => this.redisCheck(hub)));
      return checks.every((check) => check?.status === "ok");
    });
  }

  async stop(): Promise<void> {
    for (const { hub } of this.#places) await hub.stop();
    for (const close of this.#closers.splice(0).reverse()) await close();
    await this.mongod.stop();
  }

  #at(index: number): Place {
    const place = this.#places[index];
    if (place === undefined) throw new Error(`there is no hub ${index}`);
    return place;
  }
}

function launch(mongod: RunningMongod, port: number, env: Place["env"]): Promise<StartingServer> {
  const { DATA_DIR: dataDir = temporaryFolder() } = env;
  return launchHub({ mongodbUri: mongod.uri(DATABASE), port, dataDir, env });
}
