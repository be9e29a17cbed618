import { startBuiltInBalancer } from "./built-in-balancer.ts";
import type { Certificate } from "./certificate.ts";
import { type FoundHaproxy, haproxyProgram, statusUrl } from "./haproxy.ts";
import { KeptProcess, type ProcessEvent } from "./kept-process.ts";
import { portToKeep } from "./ports.ts";

export interface BalancerSettings {
  /** Where clients connect. */
  readonly port: number;
  readonly hubs: readonly { readonly name: string; readonly port: number }[];
  readonly certificate: Certificate | undefined;
  readonly dataDir: string;
}

export interface RunningBalancer {
  /** With its version. */
  readonly kind: string;
  /** Of haproxy; the built-in one lives in the cluster's own process. */
  readonly pid: number | undefined;
  readonly logFile: string | undefined;
  /** Which hubs get new connections, as haproxy says it in CSV: see balancer-status.ts. */
  readonly statusUrl: string;
  stop(): Promise<void>;
}

/** haproxy where there is one, else the built-in balancer. */
export async function startBalancer(
  settings: BalancerSettings,
  haproxy: FoundHaproxy | undefined,
  tell: (event: ProcessEvent) => void,
): Promise<RunningBalancer> {
  if (haproxy === undefined) return await startBuiltInBalancer(settings);
  const statusPort = await portToKeep();
  const program = haproxyProgram(haproxy.path, settings, statusPort);
  const kept = await KeptProcess.start(program, tell);
  return {
    kind: `haproxy ${haproxy.version}`,
    get pid() {
      return kept.pid;
    },
    logFile: program.logFile,
    statusUrl: statusUrl(statusPort),
    stop: () => kept.stop(),
  };
}
