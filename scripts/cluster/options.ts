import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

export interface ClusterOptions {
  readonly hubs: number;
  /** The balancer's; the hubs take the ports after it. 0: any free ones. */
  readonly port: number;
  readonly tls: boolean;
  /** Undefined: haproxy where there is one. */
  readonly balancer: "haproxy" | "built-in" | undefined;
  readonly dataDir: string;
  readonly json: boolean;
}

/** What the person wrote makes no sense; the message says what does. */
export class UsageError extends Error {}

const MAX_HUBS = 16;

export const DEFAULT_DATA_DIR = join(fileURLToPath(new URL("../..", import.meta.url)), "data", "cluster");

export const HELP = `npm run cluster -- [options]

Runs MongoDB, Redis, several hubs and a balancer as processes of this machine, for trying and for tests. Ctrl-C stops
all of them in order. A process that ends is started again.

  --hubs N          how many hubs, 1 to ${MAX_HUBS} (default 3)
  --port P          of the balancer; hubs take the ports after it (default 3000; 0: any free ones)
  --tls             https and wss, with a certificate made for this machine in the data folder
  --balancer KIND   haproxy or built-in (default: haproxy where it is installed)
  --data DIR        data, logs, key and certificates (default data/cluster)
  --json            what happens as lines of JSON on stdout; the first one when everything is ready
  --help

MONGODB_URI and REDIS_URL name servers to use instead of own ones, API_KEYS the keys. Programs are found on PATH, or named
by MONGOD_BIN, REDIS_SERVER_BIN, HAPROXY_BIN. All other settings of hubs (docs/CONFIGURATION.md) are handed on.

While it runs: npm run cluster:restart restarts the hubs, one after the other.`;

/** @throws UsageError */
export function readOptions(args: readonly string[]): ClusterOptions | "help" {
  const values = parse(args);
  if (values.help === true) return "help";
  const { balancer } = values;
  if (balancer !== undefined && balancer !== "haproxy" && balancer !== "built-in") {
    throw new UsageError(`--balancer is haproxy or built-in, not "${balancer}"`);
  }
  const hubs = integer("--hubs", values.hubs, 1, MAX_HUBS);
  return {
    hubs,
    port: integer("--port", values.port, 0, 65_535 - hubs),
    tls: values.tls === true,
    balancer,
    dataDir: values.data,
    json: values.json === true,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        hubs: { type: "string", default: "3" },
        port: { type: "string", default: "3000" },
        tls: { type: "boolean" },
        balancer: { type: "string" },
        data: { type: "string", default: DEFAULT_DATA_DIR },
        json: { type: "boolean" },
        help: { type: "boolean" },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function integer(name: string, text: string, min: number, max: number): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new UsageError(`${name} is a whole number from ${min} to ${max}, not "${text}"`);
}
