import { randomUUID } from "node:crypto";
import { readConfig } from "../../server/config.ts";
import { type Hub, type Overrides, startHub } from "../../server/hub.ts";
import { createLogger } from "../../server/observability/logger.ts";
import { type FreshDatabase, freshDatabase, lendDatabase } from "./database.ts";

export interface TestHub extends Hub {
  readonly url: string;
  readonly key: string;
}

export interface TestHubOptions {
  readonly uri: string;
  readonly key?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly overrides?: Overrides;
}

const NOWHERE = { write() {} };

/** A whole hub in this process, on a real MongoDB and a free port. */
export async function startTestHub(options: TestHubOptions): Promise<TestHub> {
  const key = options.key ?? randomUUID();
  const config = readConfig({
    PORT: "0",
    API_KEYS: key,
    LOG_LEVEL: process.env.TEST_LOG_LEVEL ?? "silent",
    MONGODB_MIN_POOL_SIZE: "0",
    // All clients of a test are one address.
    MAX_FAILED_KEYS_PER_MINUTE: "0",
    ...options.env,
  });
  const hub: Hub = await startHub({
    config,
    mongodbUri: options.uri,
    keys: config.API_KEYS,
    log: createLogger(config.LOG_LEVEL, {
      isTerminal: false,
      // Also when a test asks the hub for more.
      ...(process.env.TEST_LOG_LEVEL === undefined ? { destination: NOWHERE } : {}),
    }),
    onEnd: () => void hub.stop(),
    ...(options.overrides === undefined ? {} : { overrides: options.overrides }),
  });
  return { ...hub, url: `http://127.0.0.1:${hub.port}`, key };
}

/** Everything that a test opens, closed in reverse in one `afterEach(stage.clear)`. */
export class Stage {
  readonly #closers: (() => unknown)[] = [];

  add<T>(thing: T, close: (thing: T) => unknown): T {
    this.#closers.push(() => close(thing));
    return thing;
  }

  database(): FreshDatabase {
    return this.add(freshDatabase(), (database) => database.drop());
  }

  async hub(options: Partial<TestHubOptions> = {}): Promise<TestHub> {
    const hub = await startTestHub({ ...options, uri: options.uri ?? (await this.#lentUri()) });
    return this.add(hub, () => hub.stop());
  }

  /** For a hub of this process alone, which has written all when it has stopped. */
  async #lentUri(): Promise<string> {
    const { uri } = this.add(await lendDatabase(), (database) => database.giveBack());
    return uri;
  }

  readonly clear = async (): Promise<void> => {
    for (const close of this.#closers.splice(0).reverse()) await close();
  };
}
