import { Command } from "commander";
import { Liveness, SessionStatus } from "../../shared/entities.ts";
import { findHubAddress } from "../hub-address.ts";
import { urlOption, waitOption } from "../options.ts";
import { print, printJson, say } from "../output.ts";
import { oneOf, parseCount, parseId } from "../parse.ts";
import { askHub } from "../rest.ts";
import { type ShownSession, sessionTable } from "../session-text.ts";

interface SessionsOptions {
  readonly url?: string;
  readonly project?: string;
  readonly status?: string;
  readonly liveness?: string;
  readonly machine?: string;
  readonly environment?: string;
  readonly limit: number;
  readonly all?: true;
  readonly wait: number;
  readonly json?: true;
}

interface Page {
  readonly items: readonly ShownSession[];
  readonly next_cursor?: string;
}

const LARGEST_PAGE = 500;

export function sessionsCommand(): Command {
  return new Command("sessions")
    .summary("list sessions, newest first")
    .description("Lists the sessions that the hub knows, newest first.")
    .option("-p, --project <id>", "of one project", parseId)
    .option("--status <status>", "in one status", oneOf(SessionStatus.options))
    .option("--liveness <word>", "with one verdict of the hub", oneOf(Liveness.options))
    .option("-m, --machine <id>", "on one machine", parseId)
    .option("-e, --environment <name>", "of one environment")
    .option("-n, --limit <number>", "at most so many", parseCount, 50)
    .option("-a, --all", "every one of them")
    .addOption(waitOption("keep trying for so long while the hub is away", "0"))
    .addOption(urlOption())
    .option("--json", 'one JSON object on stdout: {"items": [...], "length": n}')
    .addHelpText(
      "after",
      "\nExamples:\n  state-hub sessions --status WAITING\n  state-hub sessions --all --json | jq '.items[].session_id'",
    )
    .action(sessions);
}

async function sessions(options: SessionsOptions): Promise<void> {
  const wanted = options.all ? Number.POSITIVE_INFINITY : options.limit;
  const { items, hasMore } = await fetchSessions(options, wanted);
  if (options.json) printJson({ items, length: items.length });
  else if (items.length === 0) say("no session fits");
  else print(sessionTable(items));
  if (hasMore) say(`there are more; --limit ${wanted * 2} or --all shows them`);
}

async function fetchSessions(options: SessionsOptions, wanted: number) {
  const hub = findHubAddress(options.url);
  const items: ShownSession[] = [];
  let cursor: string | undefined;
  do {
    const page: Page = await askHub<Page>(hub, {
      path: "/sessions",
      query: {
        project_id: options.project,
        status: options.status,
        liveness: options.liveness,
        machine_id: options.machine,
        environment: options.environment,
        limit: String(Math.min(LARGEST_PAGE, wanted - items.length)),
        cursor,
      },
      waitMs: options.wait,
    });
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== undefined && items.length < wanted);
  return { items, hasMore: cursor !== undefined };
}
