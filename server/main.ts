// First of all, before a library reads the environment.
import "./quiet-libraries.mjs";

import { rememberHub } from "../cli/hubs-file.ts";
import { type FirstRunKey, firstRunKey } from "./api-key.ts";
import { type Config, readConfig } from "./config.ts";
import { type DataFolder, openDataFolder } from "./embedded/data-folder.ts";
import { startEmbeddedMongod } from "./embedded/embedded-mongod.ts";
import { assertPortFree } from "./embedded/port-check.ts";
import { startHub } from "./hub.ts";
import { endWithin, OpenParts, StopTimeout } from "./lifecycle.ts";
import { errorText } from "./observability/error-fields.ts";
import { createLogger } from "./observability/logger.ts";
import { observeProcess } from "./observability/metrics/process-metrics.ts";
import type { Logger } from "./ports.ts";
import { readMongodbUri } from "./secret-files.ts";
import { StartupError } from "./startup-error.ts";
import { VERSION } from "./version.ts";
import { readWatchedFile } from "./watched-file.ts";

/** Below the 30 s after which supervisors usually kill; a mongod of our own is told to end whenever this process ends. */
const END_AT_MOST_MS = 25_000;
/** A supervisor that signals a whole process group reaches a wrapper too, which passes the signal on. */
const SAME_SIGNAL_MS = 500;
const isTerminal = process.stdout.isTTY === true;
/** Folder, mongod, hub: closed in reverse. */
const parts = new OpenParts();
let ending: Promise<void> | undefined;

await main().catch(async (error: unknown) => {
  if (ending === undefined) console.error(explain(error));
  await end(1);
});

async function main(): Promise<void> {
  const config = readConfig(process.env);
  const log = createLogger(config.LOG_LEVEL, { isTerminal });
  onSignals(log);
  for (const warning of config.warnings) log.warn({}, warning);
  if (config.PORT !== 0) await assertPortFree(config.HOST, config.PORT);
  const givenUri = config.MONGODB_URI ?? (await uriFromFile(config));
  const needsFolder = givenUri === undefined || needsKey(config);
  const dataFolder = needsFolder ? await openDataFolder(config.DATA_DIR) : undefined;
  parts.add("data folder", () => dataFolder?.release());
  const mongodbUri = givenUri ?? (await embedMongod(dataFolder, log));
  const ownKey = dataFolder !== undefined && needsKey(config) ? firstRunKey(dataFolder.path) : undefined;
  const keys = ownKey === undefined ? config.API_KEYS : [ownKey.key];
  if (ending !== undefined) return;
  const processMetrics = observeProcess();
  const hub = await startHub({ config, mongodbUri, keys, log, processMetrics, onEnd: () => void end(0) });
  parts.add("hub", () => hub.stop());
  const url = `http://${reachableHost(config.HOST)}:${hub.port}`;
  log.info({ url, hub_id: hub.hubId, version: VERSION }, "hub is ready");
  remember(url, ownKey, config, log);
  greet(url, ownKey);
}

/** The host as a client on this machine would write it. */
function reachableHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return host.includes(":") ? `[${host}]` : host;
}

async function uriFromFile({ MONGODB_URI_FILE: path }: Config): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const text = await readWatchedFile("MONGODB_URI_FILE", path);
  try {
    return readMongodbUri(text);
  } catch (error) {
    throw new StartupError((error as Error).message, { cause: error });
  }
}

function needsKey(config: Config): boolean {
  return !config.hasKeys && !config.isOpen;
}

async function embedMongod(dataFolder: DataFolder | undefined, log: Logger): Promise<string> {
  if (dataFolder === undefined) throw new Error("the data folder is opened before the embedded mongod");
  if (!isTerminal) log.info({}, "MONGODB_URI is not set: the hub runs its own mongod, for production name a real one");
  const mongod = await startEmbeddedMongod({
    dataDir: dataFolder.path,
    env: process.env,
    say: (line) => log.info({}, line),
    onExit: (error) => {
      console.error(explain(error));
      void end(1);
    },
  });
  parts.add("mongod", () => mongod.stop());
  return mongod.uri;
}

/** Lets the command line tool of this user find the hub without being told. */
function remember(url: string, ownKey: FirstRunKey | undefined, config: Config, log: Logger): void {
  const key = ownKey?.key ?? config.API_KEYS[0];
  try {
    rememberHub({ url, ...(key === undefined ? {} : { key }), makeDefault: isTerminal });
  } catch (error) {
    log.debug({ err: error }, "the hub was not written to the user's list of hubs");
  }
}

/** Only on a terminal: the key must not end up in a log file. */
function greet(url: string, ownKey: FirstRunKey | undefined): void {
  if (!isTerminal) return;
  const lines = [
    "",
    `  State Hub ${VERSION} is ready at ${url}`,
    ...(ownKey === undefined
      ? []
      : [ownKey.isNew ? `  API key   ${ownKey.key}   (kept in ${ownKey.path})` : `  API key   in ${ownKey.path}`]),
    "  report    npx state-hub run -- COMMAND     (any program becomes an agent)",
    "  follow    npx state-hub tail default",
    "  stop      Ctrl-C",
    "",
  ];
  console.log(lines.join("\n"));
}

/** The first signal ends in order, also where an operator's drain is under way; a second one at once. */
function onSignals(log: Logger): void {
  let firstAt: number | undefined;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (firstAt === undefined) {
        firstAt = performance.now();
        log.info({ signal }, "stopping");
        void end(0);
      } else if (performance.now() - firstAt > SAME_SIGNAL_MS) {
        console.error("state-hub: second signal, stopping at once");
        process.exit(130);
      }
    });
  }
  // A bug: what is in memory cannot be trusted any more, what is acked is in the log. The supervisor starts anew.
  process.on("uncaughtException", (error) => {
    console.error(`state-hub: internal error, ending: ${errorText(error)}`);
    void end(1);
  });
}

/** Once, whoever calls, and in bounded time. */
function end(code: number): Promise<void> {
  ending ??= endWithin(END_AT_MOST_MS, parts.closeAll(), () => parts.names)
    .then(() => process.exit(code))
    .catch((error: unknown) => {
      console.error(explain(error));
      process.exit(1);
    });
  return ending;
}

function explain(error: unknown): string {
  if (error instanceof StartupError || error instanceof StopTimeout) return `state-hub: ${error.message}`;
  return `state-hub: internal error: ${errorText(error)}`;
}
