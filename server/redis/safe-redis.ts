import { Redis, type RedisOptions } from "ioredis";
import type { RedisAddress } from "./redis-url.ts";

/**
 * A client that cannot end the process and keeps nothing for later. By default commands wait in a queue without bound
 * while Redis is away, are sent again when it is back, and reject after a while, some of them where nobody listens.
 */
export class SafeRedis extends Redis {
  constructor(address: RedisAddress, name: string, commandTimeoutMs: number) {
    super({
      ...address,
      connectionName: name,
      lazyConnect: true,
      connectTimeout: CONNECT_TIMEOUT_MS,
      disconnectTimeout: DISCONNECT_TIMEOUT_MS,
      commandTimeout: commandTimeoutMs,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      autoResubscribe: false,
      retryStrategy,
    } satisfies RedisOptions);
  }

  /** Marks every answer as handled; callers still see the rejection. */
  override sendCommand(...command: Parameters<Redis["sendCommand"]>): unknown {
    const answer = super.sendCommand(...command);
    if (answer instanceof Promise) answer.catch(() => {});
    return answer;
  }
}

const CONNECT_TIMEOUT_MS = 2_000;
/** How long a silent Redis may take to close its end. */
const DISCONNECT_TIMEOUT_MS = 200;

/**
 * At once at first, since what was lost until then is late; later twice a second, so that hubs are live again soon after
 * Redis is back. Jitter, because all of them lose it at the same moment.
 */
function retryStrategy(attempt: number): number {
  return Math.min(50 * attempt, 500) + Math.random() * 50;
}
