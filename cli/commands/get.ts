import { Command } from "commander";
import { findHubAddress } from "../hub-address.ts";
import { urlOption, waitOption } from "../options.ts";
import { print, printJson } from "../output.ts";
import { parseId } from "../parse.ts";
import { askHub } from "../rest.ts";
import { sessionQuery, toldSession } from "../session-argument.ts";
import { type ShownSession, sessionText } from "../session-text.ts";

interface GetOptions {
  readonly url?: string;
  readonly project?: string;
  readonly wait: number;
  readonly json?: true;
}

export function getCommand(): Command {
  return new Command("get")
    .summary("show one session")
    .description("Shows a session as the hub knows it now.")
    .argument("[session]", "session id (default: $STATE_HUB_SESSION)")
    .option("-p, --project <id>", "its project; needed only when several projects have a session of this id", parseId)
    .addOption(waitOption("keep trying for so long while the hub is away", "0"))
    .addOption(urlOption())
    .option("--json", "the session as JSON on stdout")
    .addHelpText("after", "\nExamples:\n  state-hub get build-17\n  state-hub get build-17 --json | jq -r .status")
    .action(get);
}

async function get(session: string | undefined, options: GetOptions): Promise<void> {
  const sessionId = toldSession(session);
  const shown = await askHub<ShownSession>(findHubAddress(options.url), {
    path: `/sessions/${encodeURIComponent(sessionId)}`,
    query: sessionQuery(session, options.project),
    waitMs: options.wait,
  });
  if (options.json) printJson(shown);
  else print(sessionText(shown));
}
