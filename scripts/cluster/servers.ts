import { startEmbeddedMongod } from "../../server/embedded/embedded-mongod.ts";
import { findRedis } from "./find-redis.ts";
import { KeptProcess, type ProcessEvent } from "./kept-process.ts";
import { portToKeep } from "./ports.ts";
import { redisProgram } from "./redis.ts";

export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly say: (line: string) => void;
  /** A process ended, or is ready again. */
  readonly tell: (event: ProcessEvent) => void;
  /** MongoDB is gone for good, and with it the cluster. */
  readonly onFailure: (error: Error) => void;
}

/** A server that the hubs need, and how it is stopped; nothing to stop where it is somebody else's. */
export interface Provided {
  readonly url: string;
  stop(): Promise<void>;
}

/** MONGODB_URI, or a mongod of this cluster's own on its folder. */
export async function provideMongodb(dataDir: string, { env, say, onFailure }: Surroundings): Promise<Provided> {
  if (env.MONGODB_URI) return { url: env.MONGODB_URI, stop: async () => {} };
  const mongod = await startEmbeddedMongod({ dataDir, env, say, onExit: onFailure });
  return { url: mongod.uri, stop: () => mongod.stop() };
}

/** REDIS_URL, or a Redis of this cluster's own; undefined, with a word on what that means, where none is to be had. */
export async function provideRedis(dataDir: string, { env, say, tell }: Surroundings): Promise<Provided | undefined> {
  if (env.REDIS_URL) return { url: env.REDIS_URL, stop: async () => {} };
  let path: string;
  try {
    path = await findRedis(env, say);
  } catch (error) {
    say(`warning: ${(error as Error).message}`);
    say("the hubs run without Redis: they follow each other through the log, within about a second");
    return undefined;
  }
  const port = await portToKeep();
  const kept = await KeptProcess.start(redisProgram(path, port, dataDir), tell);
  return { url: `redis://127.0.0.1:${port}`, stop: () => kept.stop() };
}
