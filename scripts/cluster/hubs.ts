import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Program } from "./kept-process.ts";

const HUB = fileURLToPath(new URL("../../server/main.ts", import.meta.url));

/** A drain ends after 25 s at the latest. */
export const HUB_STOPS_WITHIN_MS = 30_000;

const HEALTH_ANSWER_MS = 2_500;

export interface HubSettings {
  readonly port: number;
  readonly key: string;
  readonly mongodbUri: string;
  readonly redisUrl: string | undefined;
  /** Proxies in front that say in X-Forwarded-For whom they speak for. */
  readonly proxies: number;
  readonly dataDir: string;
}

/** A hub as production runs it; what the environment sets otherwise (LOG_LEVEL, LEASE_TTL_MS, …) is handed on. */
export function hubProgram(name: string, settings: HubSettings, env: NodeJS.ProcessEnv): Program {
  return {
    name,
    command: [process.execPath, HUB],
    env: {
      ...env,
      NODE_ENV: "production",
      HOST: "127.0.0.1",
      PORT: String(settings.port),
      HUB_ID: name,
      API_KEYS: settings.key,
      MONGODB_URI: settings.mongodbUri,
      REDIS_URL: settings.redisUrl ?? "",
      TRUST_PROXY: String(settings.proxies),
      // A hub notes itself in the user's list of hubs; of these only the balancer belongs there.
      XDG_CONFIG_HOME: settings.dataDir,
    },
    logFile: join(settings.dataDir, `${name}.log`),
    isReady: () => isReady(`http://127.0.0.1:${settings.port}`),
    stopWithinMs: HUB_STOPS_WITHIN_MS,
  };
}

/** Whether a hub, or one behind a balancer, can do its work now. Does not reject. */
export async function isReady(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(HEALTH_ANSWER_MS) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}
