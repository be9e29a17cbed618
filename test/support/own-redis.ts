import { inject } from "vitest";
import { freePort } from "../../server/embedded/port-check.ts";
import { RedisServer } from "./redis-server.ts";
import type { Stage } from "./test-hub.ts";

/** A redis-server that belongs to one test, which may do anything to it. */
export class OwnRedis extends RedisServer {
  static async start(stage: Stage): Promise<OwnRedis> {
    const redis = await OwnRedis.absent(stage);
    await redis.start();
    return redis;
  }

  /** A port where one may start later. */
  static async absent(stage: Stage): Promise<OwnRedis> {
    const server = inject("redisServer");
    if (server.path === undefined) throw new Error(server.problem);
    return stage.add(new OwnRedis(server.path, await freePort()), (redis) => redis.kill());
  }
}
