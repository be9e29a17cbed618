import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { Command } from "commander";
import { CliError, EXIT } from "../exit.ts";
import { assertUrl, hubAddress, nonEmpty } from "../hub-address.ts";
import { hubsFilePath, normalizeUrl, rememberHub } from "../hubs-file.ts";
import { print, printJson } from "../output.ts";
import { askHub } from "../rest.ts";

export function loginCommand(): Command {
  return new Command("login")
    .summary("remember a hub and its API key")
    .description("Checks that URL is a hub and that it takes the key, remembers both, and makes this hub the default.")
    .argument("<url>", "e.g. https://hub.example.com")
    .option("-k, --key <key>", "the API key; other users of this machine may see it in the list of processes")
    .option("--no-default", "keep the present default hub")
    .option("--json", "print what was remembered as JSON, without the key")
    .addHelpText(
      "after",
      `
Without --key it is read from stdin, or asked for on a terminal without showing it.

Examples:
  state-hub login https://hub.example.com
  state-hub login https://hub.example.com < key.txt

The key goes to ~/.config/state-hub/hubs.json ($XDG_CONFIG_HOME counts), readable by you alone.`,
    )
    .action(login);
}

async function login(
  address: string,
  options: { readonly key?: string; readonly default: boolean; readonly json?: true },
): Promise<void> {
  assertUrl(address);
  const url = normalizeUrl(address);
  const key = (options.key ?? (await readKey())).trim();
  if (key === "") throw new CliError("no key was given", EXIT.usage);
  // A key is a header's value; anything else was pasted by mistake.
  if (!/^[\x21-\x7e]{1,256}$/.test(key))
    throw new CliError("that is no API key: one word of at most 256 characters", EXIT.usage);
  const hub = hubAddress([url], key);
  await askHub(hub, { path: "/health" });
  await askHub(hub, { path: "/sessions", query: { limit: "1" } });
  remember({ url, key, makeDefault: options.default });
  if (options.json) printJson({ url, default: options.default, file: hubsFilePath() });
  else print(`logged in at ${url}${options.default ? ", now the default hub" : ""}`);
}

function remember(hub: Parameters<typeof rememberHub>[0]): void {
  try {
    rememberHub(hub);
  } catch (error) {
    throw new CliError(`the key is good, but it could not be kept: ${(error as Error).message}`);
  }
}

/** Shown to nobody: what is typed is not echoed. */
async function readKey(): Promise<string> {
  const fromEnvironment = nonEmpty(process.env.STATE_HUB_KEY);
  if (!process.stdin.isTTY) {
    const input = await text(process.stdin);
    return input.trim() === "" ? (fromEnvironment ?? "") : input;
  }
  process.stderr.write("API key: ");
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.once("line", resolve);
      lines.once("SIGINT", () => reject(new CliError("interrupted", 130)));
      lines.once("close", () => resolve(""));
    });
  } finally {
    lines.close();
    process.stderr.write("\n");
  }
}
