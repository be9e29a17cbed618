import { Command, CommanderError } from "commander";
import { CLIENT_VERSION } from "../client/version.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { drainCommand } from "./commands/drain.ts";
import { getCommand } from "./commands/get.ts";
import { hubsCommand } from "./commands/hubs.ts";
import { keysCommand } from "./commands/keys.ts";
import { logLevelCommand } from "./commands/log-level.ts";
import { loginCommand } from "./commands/login.ts";
import { publishCommand } from "./commands/publish.ts";
import { purgeCommand } from "./commands/purge.ts";
import { resumeCommand } from "./commands/resume.ts";
import { runCommand } from "./commands/run.ts";
import { sessionsCommand } from "./commands/sessions.ts";
import { startCommand } from "./commands/start.ts";
import { tailCommand } from "./commands/tail.ts";
import { watchCommand } from "./commands/watch.ts";
import { CliError, EXIT } from "./exit.ts";
import { endQuietlyOnClosedPipe, say } from "./output.ts";

const HELP = `
Which hub: --url, else STATE_HUB_URL, else the default of ~/.config/state-hub/hubs.json, else http://127.0.0.1:3000.
Which key: STATE_HUB_KEY, else what that file has for the hub. The first start of a hub and \`state-hub login\` write it.
Several hubs of one installation: addresses with commas between; one that is away is passed over.
https: STATE_HUB_CA or NODE_EXTRA_CA_CERTS names the PEM file of a private authority. HTTPS_PROXY, HTTP_PROXY and
NO_PROXY count, except for a hub on this machine.
Machine output is on stdout with --json, everything said to people on stderr.

Exit codes: 0 done, 1 the hub said no, 2 wrong usage, 3 no hub can be reached, 4 no valid API key;
\`run\` ends with the exit code of the program that it ran.

Examples:
  state-hub start                          run a hub
  state-hub run -- npm test                report a program to it
  state-hub watch                          see who needs you, and what the others do
  state-hub tail default                   see what happens`;

async function main(): Promise<void> {
  endQuietlyOnClosedPipe();
  const program = new Command("state-hub")
    .description("What every agent is doing now: run a hub, report to it, read from it.")
    .version(CLIENT_VERSION, "-V, --version")
    .enablePositionalOptions()
    .addHelpText("after", HELP);
  const reading = [watchCommand, tailCommand, sessionsCommand, getCommand];
  const operating = [
    hubsCommand,
    doctorCommand,
    drainCommand,
    resumeCommand,
    logLevelCommand,
    keysCommand,
    purgeCommand,
  ];
  for (const make of [startCommand, runCommand, ...reading, publishCommand, ...operating, loginCommand]) {
    program.addCommand(make());
  }
  for (const command of withSubcommands(program)) {
    command
      .exitOverride()
      .showSuggestionAfterError()
      .configureOutput({ outputError: (text, write) => write(`state-hub: ${text}`) });
  }
  try {
    await program.parseAsync();
  } catch (error) {
    process.exitCode = report(error);
  }
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

/** Known ends have a line, everything else is a bug and keeps its stack. */
function report(error: unknown): number {
  if (error instanceof CommanderError) {
    const isHelp = error.exitCode === 0 || error.code === "commander.help";
    return isHelp && error.code !== "commander.help" ? EXIT.ok : EXIT.usage;
  }
  if (error instanceof CliError) {
    say(error.message);
    return error.exitCode;
  }
  console.error(error);
  return EXIT.failed;
}

await main();
