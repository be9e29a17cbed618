import { setTimeout as sleep } from "node:timers/promises";
import { firstRunKey } from "../../server/api-key.ts";
import { openDataFolder } from "../../server/embedded/data-folder.ts";
import { processStart } from "../../server/embedded/process-identity.ts";
import { StartupError } from "../../server/startup-error.ts";
import { type RunningBalancer, startBalancer } from "./balancer.ts";
import { askHubsUp } from "./balancer-status.ts";
import { selfSigned } from "./certificate.ts";
import { type ClusterFile, removeClusterFile, writeClusterFile } from "./cluster-file.ts";
import { type FoundHaproxy, findHaproxy } from "./haproxy.ts";
import { hubProgram } from "./hubs.ts";
import { KeptProcess, type ProcessEvent, type Program } from "./kept-process.ts";
import type { ClusterOptions } from "./options.ts";
import { choosePorts } from "./ports.ts";
import { provideMongodb, provideRedis, type Surroundings } from "./servers.ts";

const ALL_UP_MS = 15_000;
const POLL_MS = 50;

/** MongoDB, Redis, a balancer and hubs, each a process of this machine. */
export class Cluster {
  readonly #around: Surroundings;
  /** In the order of the start. */
  readonly #stops: (() => Promise<void> | void)[] = [];
  #describe: (() => ClusterFile) | undefined;
  #apiKey = "";
  #dataDir = "";

  /**
   * Resolves when each hub gets connections from the balancer. When a part does not start, those before it are stopped.
   *
   * @throws StartupError
   */
  static async start(options: ClusterOptions, around: Surroundings): Promise<Cluster> {
    const cluster = new Cluster(around);
    try {
      await cluster.#start(options);
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  private constructor(around: Surroundings) {
    this.#around = around;
  }

  get description(): ClusterFile {
    if (this.#describe === undefined) throw new Error("the cluster has not started");
    return this.#describe();
  }

  get apiKey(): string {
    return this.#apiKey;
  }

  /** In reverse: hubs first, while all that they and their clients need is there, MongoDB last. */
  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0).reverse()) await stop();
  }

  async #start(options: ClusterOptions): Promise<void> {
    const { env } = this.#around;
    const haproxy = chooseHaproxy(options, env);
    const ports = await choosePorts(options.port, options.hubs);
    const folder = await openDataFolder(options.dataDir);
    this.#stops.push(() => folder.release());
    const dataDir = folder.path;
    this.#dataDir = dataDir;
    const ownKey = env.API_KEYS ? undefined : firstRunKey(dataDir);
    const keys = ownKey?.key ?? env.API_KEYS ?? "";
    this.#apiKey = keys.split(",")[0]?.trim() ?? "";
    const certificate = options.tls ? selfSigned(dataDir) : undefined;

    const mongodb = await provideMongodb(dataDir, this.#around);
    this.#stops.push(mongodb.stop);
    const redis = await provideRedis(dataDir, { ...this.#around, tell: this.#tell });
    if (redis !== undefined) this.#stops.push(redis.stop);
    const named = ports.hubs.map((port, index) => ({ name: `hub-${index + 1}`, port }));
    const balancer = await startBalancer(
      { port: ports.balancer, hubs: named, certificate, dataDir },
      haproxy,
      this.#tell,
    );
    this.#stops.push(balancer.stop);
    const settings = { key: keys, mongodbUri: mongodb.url, redisUrl: redis?.url, dataDir };
    const proxies = haproxy === undefined ? 0 : 1;
    const programs = named.map(({ name, port }) => hubProgram(name, { ...settings, port, proxies }, env));
    const hubs = await this.#startHubs(programs);
    await untilAllUp(balancer.statusUrl, programs);

    this.#describe = () => ({
      version: 1,
      pid: process.pid,
      started: processStart(process.pid),
      url: `${certificate === undefined ? "http" : "https"}://127.0.0.1:${ports.balancer}`,
      key_file: ownKey?.path,
      ca_file: certificate?.caFile,
      redis: redis !== undefined,
      balancer: describeBalancer(balancer),
      hubs: named.map(({ name, port }, index) => ({
        name,
        url: `http://127.0.0.1:${port}`,
        pid: hubs[index]?.pid,
        log_file: programs[index]?.logFile ?? "",
      })),
    });
    this.#stops.push(() => removeClusterFile(dataDir));
    writeClusterFile(dataDir, this.description);
  }

  /** All at once, and so do they stop; one that does not start takes the others along. */
  async #startHubs(programs: readonly Program[]): Promise<readonly KeptProcess[]> {
    const starting = await Promise.allSettled(programs.map((program) => KeptProcess.start(program, this.#tell)));
    const hubs = starting.filter((result) => result.status === "fulfilled").map(({ value }) => value);
    this.#stops.push(async () => {
      await Promise.all(hubs.map((hub) => hub.stop()));
    });
    const failed = starting.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    return hubs;
  }

  readonly #tell = (event: ProcessEvent): void => {
    if (this.#describe !== undefined) writeClusterFile(this.#dataDir, this.description);
    this.#around.tell(event);
  };
}

function chooseHaproxy({ balancer }: ClusterOptions, env: NodeJS.ProcessEnv): FoundHaproxy | undefined {
  const found = balancer === "built-in" ? undefined : findHaproxy(env);
  if (found === undefined && balancer === "haproxy") {
    throw new StartupError("no haproxy on PATH: install it, set HAPROXY_BIN, or leave out --balancer haproxy");
  }
  return found;
}

async function untilAllUp(statusUrl: string, hubs: readonly { readonly name: string }[]): Promise<void> {
  const giveUpAt = performance.now() + ALL_UP_MS;
  for (;;) {
    const up = await askHubsUp(statusUrl);
    const missing = hubs.filter(({ name }) => !up.has(name)).map(({ name }) => name);
    if (missing.length === 0) return;
    if (performance.now() > giveUpAt) throw new StartupError(`the balancer does not reach ${missing.join(", ")}`);
    await sleep(POLL_MS);
  }
}

function describeBalancer({ kind, pid, statusUrl, logFile }: RunningBalancer): ClusterFile["balancer"] {
  return { kind, pid, status_url: statusUrl, log_file: logFile };
}
