import { join } from "node:path";
import { Command } from "commander";
import { nonEmpty } from "../hub-address.ts";

export function startCommand(): Command {
  return new Command("start")
    .summary("run the hub in the foreground")
    .description("Runs the hub in this terminal until Ctrl-C, the same as `npm start` in the project's folder.")
    .option("--port <number>", "TCP port (default: $PORT, else 3000)")
    .option(
      "--data <folder>",
      "where the embedded MongoDB keeps its data (default: $DATA_DIR, else data/ in the project's folder)",
    )
    .option("--json", "log lines as JSON, as they are whenever stdout is no terminal")
    .addHelpText(
      "after",
      `
Examples:
  state-hub start
  PORT=3001 DATA_DIR=~/hub-data state-hub start
  MONGODB_URI=mongodb://db.example/hub API_KEYS=... state-hub start

Every setting is an environment variable; docs/CONFIGURATION.md lists them.`,
    )
    .action(start);
}

async function start(options: { readonly port?: string; readonly data?: string; readonly json?: true }): Promise<void> {
  if (options.port !== undefined) process.env.PORT = options.port;
  const data = options.data ?? nonEmpty(process.env.DATA_DIR);
  // The hub takes a relative folder from where it runs; without one, any folder must lead to the same data.
  process.env.DATA_DIR = data ?? join(import.meta.dirname, "..", "..", "data");
  // biome-ignore lint/style/noRestrictedImports: the hub itself, in this very process, so that a signal has one receiver only
  await import("../../server/main.ts");
}
