// npm run cluster: MongoDB, Redis, hubs and a balancer on this machine, until Ctrl-C. See cluster/options.ts for help.

import { rememberHub } from "../cli/hubs-file.ts";
import { StartupError } from "../server/startup-error.ts";
import { Cluster } from "./cluster/cluster.ts";
import { greeting } from "./cluster/greeting.ts";
import type { ProcessEvent } from "./cluster/kept-process.ts";
import { type ClusterOptions, HELP, readOptions, UsageError } from "./cluster/options.ts";

const isTerminal = process.stdout.isTTY === true;
const options = optionsOrEnd();
let ending: Promise<void> | undefined;

const starting = Cluster.start(options, {
  env: process.env,
  say,
  tell: options.json ? printJson : (event) => say(inWords(event)),
  onFailure: (error) => {
    console.error(explain(error));
    void end(1);
  },
});
onSignals();
try {
  const cluster = await starting;
  if (ending === undefined) announce(cluster);
} catch (error) {
  if (ending === undefined) console.error(explain(error));
  process.exitCode = 1;
}

function optionsOrEnd(): ClusterOptions {
  try {
    const read = readOptions(process.argv.slice(2));
    if (read !== "help") return read;
    console.log(HELP);
    process.exit(0);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`state-hub: ${error.message}; npm run cluster -- --help`);
    process.exit(2);
  }
}

function announce(cluster: Cluster): void {
  if (isTerminal) remember(cluster);
  if (options.json) printJson({ event: "started", ...cluster.description });
  else console.log(greeting(cluster.description, options.dataDir, isTerminal ? cluster.apiKey : undefined));
}

/** Lets the command line tool of this user find the cluster without being told. */
function remember({ description: { url, ca_file }, apiKey }: Cluster): void {
  // Without the certificate the address alone would be of no use.
  if (ca_file !== undefined) return;
  try {
    rememberHub({ url, key: apiKey, makeDefault: true });
  } catch (error) {
    say(`the cluster was not written to the user's list of hubs: ${(error as Error).message}`);
  }
}

/** Ctrl-C reaches npm too, which passes it on. */
const SAME_SIGNAL_MS = 500;

/** The first signal stops everything in order, a second one ends at once: then the kernel stops what is left. */
function onSignals(): void {
  let firstAt = 0;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (ending !== undefined) {
        if (performance.now() - firstAt > SAME_SIGNAL_MS) process.exit(130);
        return;
      }
      firstAt = performance.now();
      say("stopping: hubs first, which tell their clients; once more ends it at once");
      void end(0);
    });
  }
}

function end(code: number): Promise<void> {
  ending ??= (async () => {
    try {
      const cluster = await starting;
      await cluster.stop();
      say("stopped");
    } catch (error) {
      console.error(explain(error));
      process.exit(1);
    }
    process.exit(code);
  })();
  return ending;
}

/** To stderr: stdout belongs to the table, or to the lines of JSON. */
function say(line: string): void {
  console.error(`state-hub: ${line}`);
}

function printJson(value: object): void {
  console.log(JSON.stringify(value));
}

function inWords(event: ProcessEvent): string {
  if (event.event === "ready") return `${event.name} is ready again (pid ${event.pid}, ${event.took_ms} ms)`;
  const when = event.restart_in_ms === 0 ? "starting it again" : `starting it again in ${event.restart_in_ms} ms`;
  return `${event.name} (pid ${event.pid}) ended (${event.reason}); ${when}`;
}

function explain(error: unknown): string {
  if (error instanceof StartupError) return `state-hub: ${error.message}`;
  return `state-hub: internal error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}
