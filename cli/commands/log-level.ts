import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { LOG_LEVELS, type LogLevelAnswer, MOST_LOG_LEVEL_MINUTES } from "../../shared/rest/operations.ts";
import { findOneHub } from "../hub-address.ts";
import { urlOption } from "../options.ts";
import { print, printJson } from "../output.ts";
import { askHub } from "../rest.ts";

interface LogLevelOptions {
  readonly url?: string;
  readonly minutes?: number;
  readonly json?: true;
}

export function logLevelCommand(): Command {
  return new Command("log-level")
    .summary("change how much a hub logs, without a restart")
    .description("Changes the least level of a hub's log lines while it runs. Needs an operator key.")
    .addArgument(new Argument("<level>", "least level").choices(LOG_LEVELS))
    .addOption(
      new Option("-m, --minutes <n>", "for so long, a day at most; else until the hub ends").argParser(parseMinutes),
    )
    .addOption(urlOption())
    .option("--json", "the level before and now as JSON on stdout")
    .addHelpText(
      "after",
      `
Name the hub by its own address, not by that of a balancer, behind which any hub may answer.

Examples:
  state-hub log-level debug --minutes 10 --url http://hub-2:3000
  state-hub log-level info`,
    )
    .action(setLogLevel);
}

async function setLogLevel(level: string, { url, minutes, json }: LogLevelOptions): Promise<void> {
  const answer = await askHub<LogLevelAnswer>(findOneHub(url), {
    method: "POST",
    path: "/admin/log-level",
    body: { level, ...(minutes === undefined ? {} : { minutes }) },
  });
  if (json) {
    printJson(answer);
    return;
  }
  const end = answer.until === undefined ? "" : `, until ${answer.until}, then ${answer.afterwards}`;
  print(`hub ${answer.hub_id} logs at ${answer.level}${end}; it was ${answer.before}`);
}

function parseMinutes(text: string): number {
  const minutes = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (minutes >= 1 && minutes <= MOST_LOG_LEVEL_MINUTES) return minutes;
  throw new InvalidArgumentError(`It must be a whole number of minutes, 1 to ${MOST_LOG_LEVEL_MINUTES}.`);
}
