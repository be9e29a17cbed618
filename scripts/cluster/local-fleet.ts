import { isAlive } from "../../server/embedded/process-identity.ts";
import { StartupError } from "../../server/startup-error.ts";
import { askHubsUp } from "./balancer-status.ts";
import { type ClusterFile, readClusterFile } from "./cluster-file.ts";
import { isReady } from "./hubs.ts";
import type { Fleet } from "./rolling-restart.ts";

/** The hubs of the cluster that runs on this folder, looked up anew each time: their processes change. */
export function localFleet(dataDir: string): Fleet {
  const cluster = (): ClusterFile => {
    const file = readClusterFile(dataDir);
    if (file === undefined) throw new StartupError(`no cluster runs on ${dataDir}: start one with npm run cluster`);
    return file;
  };
  const urlOf = (name: string) => cluster().hubs.find((hub) => hub.name === name)?.url ?? "";
  return {
    hubs: () => cluster().hubs,
    terminate: ({ name, pid }) => {
      const known = cluster().hubs.find((hub) => hub.name === name);
      if (pid === undefined || known?.pid !== pid || !isAlive(pid)) return;
      process.kill(pid, "SIGTERM");
    },
    isReady: (name) => isReady(urlOf(name)),
    inRotation: () => askHubsUp(cluster().balancer.status_url),
  };
}
