import { findRedis } from "../../scripts/cluster/find-redis.ts";
import { RedisServer } from "../../test/support/redis-server.ts";
import { freePort } from "./processes.ts";

/** A redis-server of its own on loopback, that keeps nothing on disk. */
export async function startRedis(): Promise<RedisServer> {
  const redis = new RedisServer(await findRedis(process.env, console.error), await freePort());
  await redis.start();
  return redis;
}
