import { createInterface } from "node:readline/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { CliError, EXIT } from "../exit.ts";
import { findHubAddress, type HubAddress } from "../hub-address.ts";
import { urlOption } from "../options.ts";
import { print, printable, printJson, say } from "../output.ts";
import { askHub } from "../rest.ts";

interface PurgeOptions {
  readonly session?: string;
  readonly project?: string;
  readonly yes?: true;
  readonly wait: boolean;
  readonly url?: string;
  readonly json?: true;
}

interface Purge {
  readonly purge_id: string;
  readonly project_id: string;
  readonly session_id?: string;
  readonly state: "running" | "done";
  readonly sessions: number;
  readonly entries: number;
  readonly kept: number;
}

const POLL_MS = 250;
/** A hub that is restarted meanwhile leaves the rest to another one, or to itself. */
const PATIENCE_MS = 60_000;

export function purgeCommand(): Command {
  return new Command("purge")
    .summary("forget a session, or all sessions of a project, for good")
    .description(
      "Removes final sessions with their tasks, their history and their last heartbeats: from the documents, the base and " +
        "the log. Nothing brings them back. What is left is one change that says which session was removed, when and by whom.",
    )
    .option("-s, --session <id>", "that session alone")
    .option("-p, --project <id>", "its project; without --session all sessions that the project has now")
    .option("-y, --yes", "do not ask")
    .option("--no-wait", "begin it, and do not wait for the end")
    .addOption(urlOption())
    .option("--json", "how it ended as JSON on stdout")
    .addHelpText(
      "after",
      `
The numbering of the project begins a new epoch: its viewers begin anew with a snapshot, as after a restored database.
Sessions that end by themselves long ago are forgotten by a hub with SESSION_RETENTION_DAYS.

Examples:
  state-hub purge --session build-17 --project web
  state-hub purge --project scratch --yes --json`,
    )
    .action(purge);
}

async function purge(options: PurgeOptions): Promise<void> {
  const { session, project, url } = options;
  if (session === undefined && project === undefined) {
    throw new CliError("forget what? Name it with --session, --project, or both", EXIT.usage);
  }
  if (!options.yes) await confirm(session ?? project ?? "", session === undefined ? "project" : "session");
  const hub = findHubAddress(url);
  const begun = await askHub<Purge>(hub, {
    method: "POST",
    path: "/admin/purges",
    body: { project_id: project, session_id: session },
  });
  const last = options.wait ? await follow(hub, begun) : begun;
  if (options.json) printJson(last);
  else tell(last);
}

/** On a terminal by typing its name; elsewhere only `--yes` says so. */
async function confirm(name: string, kind: string): Promise<void> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new CliError(`nothing brings ${kind} ${printable(name)} back; say that you mean it with --yes`, EXIT.usage);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const typed = await terminal.question(`Nothing brings it back. Type the ${kind}'s id to forget it: `);
    if (typed.trim() !== name) throw new CliError("not forgotten: that is another id");
  } finally {
    terminal.close();
  }
}

async function follow(hub: HubAddress, begun: Purge): Promise<Purge> {
  let told = 0;
  for (let last = begun; ; ) {
    if (last.state === "done") return last;
    if (last.sessions > told) say(`${sessionsOf(last.sessions)} forgotten so far`);
    told = last.sessions;
    await sleep(POLL_MS);
    last = await askHub<Purge>(hub, { path: `/admin/purges/${begun.purge_id}`, waitMs: PATIENCE_MS });
  }
}

function tell({ purge_id, project_id, session_id, state, sessions, entries, kept }: Purge): void {
  const what = session_id === undefined ? `project ${project_id}` : `session ${session_id} of project ${project_id}`;
  if (state === "running") {
    print(`${what} is being forgotten: ${purge_id}`);
    return;
  }
  print(`${what} is forgotten: ${sessionsOf(sessions)}, ${entries.toLocaleString("en")} entries of the log redacted`);
  if (kept > 0) say(`${sessionsOf(kept)} stayed: not final. End them and do it again`);
}

function sessionsOf(number: number): string {
  return number === 1 ? "1 session" : `${number.toLocaleString("en")} sessions`;
}
