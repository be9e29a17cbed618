import { constants, hostname } from "node:os";
import { basename } from "node:path";
import { Command } from "commander";
import { idFrom } from "../../client/identity.ts";
import { DEFAULT_PROJECT_ID, ID_PATTERN } from "../../shared/ids.ts";
import { DEFAULT_LIMITS } from "../../shared/limits.ts";
import { findHubAddress, nonEmpty } from "../hub-address.ts";
import { urlOption, waitOption } from "../options.ts";
import { say } from "../output.ts";
import { parseId } from "../parse.ts";
import { type Child, startChild } from "../run/child.ts";
import { RunReporter, type RunSession } from "../run/reporter.ts";
import { sessionName } from "../run/session-name.ts";
import { takeSignals } from "../run/signals.ts";

interface RunOptions {
  readonly url?: string;
  readonly project?: string;
  readonly session?: string;
  readonly title?: string;
  readonly environment?: string;
  readonly showArgs?: true;
  readonly wait: number;
  readonly json?: true;
}

export function runCommand(): Command {
  return new Command("run")
    .summary("run a program as an agent session")
    .description(
      "Runs COMMAND and reports it: ACTIVE while it runs, its last output line as activity where output is piped, then COMPLETED or FAILED with its exit code. The program's input, output, signals and exit code stay as they are, and it starts at once, whether or not the hub is there.",
    )
    .argument("<command...>", "program and arguments; -- before it is good style")
    .passThroughOptions()
    .option(
      "-p, --project <id>",
      `project to report to (default: $STATE_HUB_PROJECT, else ${DEFAULT_PROJECT_ID})`,
      parseId,
    )
    .option("-s, --session <id>", "session id (default: <command>-<host>-<time>-<random>)", parseId)
    .option("-t, --title <text>", "what people read (default: the program's name)")
    .option("-e, --environment <name>", "environment of the session (default: production)")
    .option(
      "--show-args",
      "put the arguments into the session too; they may hold secrets, so they are left out by default",
    )
    .addOption(waitOption("after the program's end, wait so long for the hub", "30s"))
    .addOption(urlOption())
    .option("--json", "when all is over, one line on stderr: session, project, exit code, delivered or not")
    .addHelpText(
      "after",
      `
Examples:
  state-hub run -- npm test
  state-hub run --project nightly --title "Nightly import" -- ./import.sh --all > import.log 2>&1

The program gets STATE_HUB_URL, STATE_HUB_SESSION and STATE_HUB_PROJECT, so a script can add to its own session with
\`state-hub publish\`, and a \`state-hub run\` inside becomes a child session. The key is not put into its environment;
STATE_HUB_KEY is handed on if you have set it.

Exit code: the program's own; 128 + number when a signal ended it; 127 when it is not found, 126 when it cannot be run.`,
    )
    .action(run);
}

async function run(command: string[], options: RunOptions): Promise<void> {
  const hub = findHubAddress(options.url);
  const host = hostname();
  const session = describeSession(command, options, host);
  const env = {
    ...process.env,
    STATE_HUB_URL: hub.url,
    STATE_HUB_SESSION: session.sessionId,
    STATE_HUB_PROJECT: session.projectId,
  };
  let child: Child | undefined;
  let reporter: RunReporter | undefined;
  let hasEnded = false;
  takeSignals((signal, reachesChildByItself) => {
    if (hasEnded) reporter?.giveUp();
    else if (!reachesChildByItself) child?.kill(signal);
  });
  try {
    child = await startChild(command, env);
  } catch (error) {
    process.exitCode = cannotStart(command[0] ?? "", error as NodeJS.ErrnoException);
    return;
  }

  const messages = new Messages();
  reporter = new RunReporter(hub, session, child.lastLine, (line) => messages.say(line));
  const ended = await child.ended;
  hasEnded = true;
  messages.release();
  const [isDelivered] = await Promise.all([reporter.end(ended, options.wait), child.drained]);
  const code = ended.signal === null ? (ended.code ?? 1) : 128 + constants.signals[ended.signal];
  if (options.json) {
    const { sessionId: session_id, projectId: project_id } = session;
    process.stderr.write(`${JSON.stringify({ session_id, project_id, exit_code: code, delivered: isDelivered })}\n`);
  }
  process.exit(code);
}

function describeSession(command: readonly string[], options: RunOptions, host: string): RunSession {
  const startedAt = new Date();
  const projectId = options.project ?? idFromEnvironment("STATE_HUB_PROJECT") ?? DEFAULT_PROJECT_ID;
  const parent = idFromEnvironment("STATE_HUB_SESSION");
  const isParentHere = (idFromEnvironment("STATE_HUB_PROJECT") ?? DEFAULT_PROJECT_ID) === projectId;
  const program = basename(command[0] ?? "");
  return {
    sessionId: options.session ?? sessionName(command, host, startedAt),
    projectId,
    machineId: idFrom(host) || "unknown",
    metadata: {
      title: (options.title ?? program).slice(0, DEFAULT_LIMITS.title_chars).toWellFormed(),
      command: (options.showArgs ? command.join(" ") : program).slice(0, 2_000).toWellFormed(),
      started_at: startedAt.toISOString(),
    },
    ...(parent !== undefined && isParentHere ? { parentSessionId: parent } : {}),
    ...(options.environment === undefined ? {} : { environment: options.environment }),
  };
}

/** A variable that is no id must not keep the program from running. */
function idFromEnvironment(name: string): string | undefined {
  const value = nonEmpty(process.env[name]);
  return value !== undefined && ID_PATTERN.test(value) ? value : undefined;
}

function cannotStart(program: string, error: NodeJS.ErrnoException): number {
  if (error.code === "ENOENT") {
    say(`${program}: not found`);
    return 127;
  }
  say(`${program}: cannot be run (${error.code ?? error.message})`);
  return 126;
}

/** A line of ours in the middle of a full-screen program would spoil its screen, so on a terminal it waits for the end. */
class Messages {
  #held: string[] | undefined = process.stderr.isTTY ? [] : undefined;

  say(line: string): void {
    if (this.#held === undefined) say(line);
    else this.#held.push(line);
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const line of held) say(line);
  }
}
