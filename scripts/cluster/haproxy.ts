import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BalancerSettings } from "./balancer.ts";
import type { Program } from "./kept-process.ts";

const DEFAULTS = fileURLToPath(new URL("../../deploy/haproxy/10-defaults.cfg", import.meta.url));

const STOPS_WITHIN_MS = 5_000;

/** Not on everybody's PATH. */
const SYSTEM_FOLDERS = ["/usr/sbin", "/usr/local/sbin"];

export interface FoundHaproxy {
  readonly path: string;
  readonly version: string;
}

/** HAPROXY_BIN → PATH → the system's own folders; undefined where there is none that runs. */
export function findHaproxy(env: NodeJS.ProcessEnv): FoundHaproxy | undefined {
  const folders = [...(env.PATH ?? "").split(delimiter).filter(Boolean), ...SYSTEM_FOLDERS];
  const candidates = env.HAPROXY_BIN ? [env.HAPROXY_BIN] : folders.map((folder) => join(folder, "haproxy"));
  for (const path of candidates) {
    const { stdout } = spawnSync(path, ["-v"], { encoding: "utf8", timeout: 10_000 });
    const version = /version (\d\S*)/i.exec(stdout ?? "")?.[1];
    if (version !== undefined) return { path, version };
  }
  return undefined;
}

/** haproxy with the settings of production (deploy/haproxy) and the hubs of this machine. */
export function haproxyProgram(path: string, settings: BalancerSettings, statusPort: number): Program {
  const config = join(settings.dataDir, "haproxy.cfg");
  writeFileSync(config, haproxyConfig(settings, statusPort), { mode: 0o600 });
  return {
    name: "balancer",
    command: [path, "-db", "-f", DEFAULTS, "-f", config],
    logFile: join(settings.dataDir, "balancer.log"),
    isReady: () => answers(statusUrl(statusPort)),
    stopWithinMs: STOPS_WITHIN_MS,
  };
}

export function statusUrl(port: number): string {
  return `http://127.0.0.1:${port}/;csv`;
}

function haproxyConfig({ port, hubs, certificate }: BalancerSettings, statusPort: number): string {
  const tls = certificate === undefined ? "" : ` ssl crt "${certificate.bundleFile}" alpn http/1.1`;
  return [
    "frontend clients",
    `  bind 127.0.0.1:${port}${tls}`,
    "  default_backend hubs",
    "",
    "backend hubs",
    ...hubs.map((hub) => `  server ${hub.name} 127.0.0.1:${hub.port}`),
    "",
    "frontend status",
    `  bind 127.0.0.1:${statusPort}`,
    "  stats enable",
    "  stats uri /",
    "",
  ].join("\n");
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(1_000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}
