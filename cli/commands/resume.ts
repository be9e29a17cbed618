import { Command } from "commander";
import { findOneHub } from "../hub-address.ts";
import { urlOption, waitOption } from "../options.ts";
import { print, printJson } from "../output.ts";
import { askHub } from "../rest.ts";

interface ResumeOptions {
  readonly url?: string;
  readonly wait: number;
  readonly json?: true;
}

export function resumeCommand(): Command {
  return new Command("resume")
    .summary("take a held hub back into service")
    .description("Lets a hub serve again that `state-hub drain --hold` took out of service.")
    .addOption(waitOption("keep trying for so long while it still drains", "30s"))
    .addOption(urlOption())
    .option("--json", "its state as JSON on stdout")
    .addHelpText("after", "\nExamples:\n  state-hub resume\n  state-hub resume --url http://hub-2:3000")
    .action(resume);
}

async function resume(options: ResumeOptions): Promise<void> {
  const hub = findOneHub(options.url);
  const progress = await askHub<{ hub_id: string; state: string }>(hub, {
    method: "POST",
    path: "/admin/resume",
    waitMs: options.wait,
  });
  if (options.json) printJson({ hub_id: progress.hub_id, state: progress.state });
  else print(`hub ${progress.hub_id} is in service`);
}
