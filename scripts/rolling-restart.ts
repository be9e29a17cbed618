// npm run cluster:restart: restarts the hubs of the cluster that runs here, one after the other.

import { parseArgs } from "node:util";
import { StartupError } from "../server/startup-error.ts";
import { localFleet } from "./cluster/local-fleet.ts";
import { DEFAULT_DATA_DIR } from "./cluster/options.ts";
import { type Restarted, rollingRestart } from "./cluster/rolling-restart.ts";

const HELP = `npm run cluster:restart -- [options] [HUB …]

Restarts the hubs of the cluster that runs on this machine one after the other, or only those named (hub-1, …). Each is
told to stop (SIGTERM), tells its clients to go elsewhere, ends, and is started again by the cluster. The next one follows
when all are ready and get connections from the balancer. Exit code 1 when a hub does not come back in time.

  --data DIR   the cluster's folder (default data/cluster)
  --json       one line of JSON for each hub
  --help`;

try {
  await main();
} catch (error) {
  if (!(error instanceof StartupError)) throw error;
  console.error(`state-hub: ${error.message}`);
  process.exitCode = 1;
}

async function main(): Promise<void> {
  const read = options();
  if (read === undefined) return;
  const { values, positionals } = read;
  if (values.help === true) {
    console.log(HELP);
    return;
  }
  const fleet = localFleet(values.data);
  const known = fleet.hubs().map(({ name }) => name);
  const unknown = positionals.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new StartupError(`no hub ${unknown.join(", ")} here; there are ${known.join(", ")}`);
  const names = positionals.length > 0 ? positionals : known;
  await rollingRestart(
    fleet,
    (restarted) => console.log(values.json ? JSON.stringify(restarted) : inWords(restarted)),
    names,
  );
}

function options() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        data: { type: "string", default: DEFAULT_DATA_DIR },
        json: { type: "boolean" },
        help: { type: "boolean" },
      },
    });
  } catch (error) {
    console.error(`state-hub: ${(error as Error).message}; npm run cluster:restart -- --help`);
    process.exitCode = 2;
    return undefined;
  }
}

function inWords({ name, stop_ms, ready_ms, rotation_ms }: Restarted): string {
  const [stopped, ready, rotation] = [stop_ms, ready_ms, rotation_ms].map((ms) => `${(ms / 1_000).toFixed(1)} s`);
  return `${name}: stopped in ${stopped}, ready after ${ready}, in rotation after ${rotation}`;
}
