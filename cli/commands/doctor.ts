import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { type Check, type DoctorReport, overall } from "../../shared/rest/doctor.ts";
import { EXIT } from "../exit.ts";
import { findHubAddress, type HubAddress } from "../hub-address.ts";
import { urlOption } from "../options.ts";
import { print, printable, printJson, say } from "../output.ts";
import { parseId } from "../parse.ts";
import { askHub, HubRefusal } from "../rest.ts";

interface DoctorOptions {
  readonly project?: string;
  readonly url?: string;
  readonly json?: true;
}

/** The doctor serves one asker at a time: how often it is asked again, and the pause before. */
const ATTEMPTS = 30;
const BUSY_PAUSE_MS = 1_000;

export function doctorCommand(): Command {
  return new Command("doctor")
    .summary("compare what the hub keeps with what is true")
    .description(
      "Looks at the installation and, project by project, whether log, documents and counts agree. It only reads, and spares " +
        "the hub: many projects take a while. Needs an operator key.",
    )
    .option("-p, --project <id>", "this project alone, with what is fine", parseId)
    .addOption(urlOption())
    .option("--json", 'one JSON object on stdout: {"ok", "checks": [...], "projects": n}')
    .addHelpText(
      "after",
      `
Of many projects only findings and advice are shown; --json has all. What to do about a finding stands in docs/DOCTOR.md,
under its name. Exit code 1: something is wrong. What could not be told is marked ? and is no reason for it.

Examples:
  state-hub doctor
  state-hub doctor --project web
  state-hub doctor --json | jq '.checks[] | select(.ok == false)'`,
    )
    .action(examine);
}

async function examine({ project, url, json }: DoctorOptions): Promise<void> {
  const hub = findHubAddress(url);
  const all: Check[] = [];
  let projects = 0;
  for (let cursor: string | undefined; ; ) {
    const page = await askPage(hub, project, cursor);
    projects += page.projects;
    if (json) all.push(...page.checks);
    else for (const check of page.checks.filter((one) => isShown(one, project))) show(check);
    if (page.checks.some(({ ok }) => ok === false)) process.exitCode = EXIT.failed;
    cursor = page.next_cursor;
    if (cursor === undefined) break;
    say(`${count(projects)} looked at, more to come`);
  }
  const isWrong = process.exitCode === EXIT.failed;
  if (json) printJson({ ...overall(all), checks: all, projects });
  else say(`${count(projects)} looked at, ${isWrong ? "something is wrong" : "nothing is wrong"}`);
}

async function askPage(hub: HubAddress, project_id: string | undefined, cursor: string | undefined) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await askHub<DoctorReport>(hub, { path: "/admin/doctor", query: { project_id, cursor } });
    } catch (error) {
      const isBusy = error instanceof HubRefusal && error.code === "OVERLOADED";
      if (!isBusy || attempt === ATTEMPTS) throw error;
      if (attempt === 1) say("the doctor is at work for somebody else; waiting");
      await sleep(BUSY_PAUSE_MS);
    }
  }
}

/** The installation whole; of many projects what somebody has to read. */
function isShown({ project_id, ok, what_to_do }: Check, project: string | undefined): boolean {
  return project !== undefined || project_id === undefined || ok !== true || what_to_do !== undefined;
}

function show({ name, project_id, ok, detail, what_to_do }: Check): void {
  const mark = ok === false ? "WRONG " : ok === undefined ? "?     " : what_to_do === undefined ? "ok    " : "advice";
  const subject = project_id === undefined ? name : `${printable(project_id)} ${name}`;
  print(`${mark}  ${subject}: ${printable(detail)}`);
  if (what_to_do !== undefined) print(`        → ${printable(what_to_do)}`);
}

function count(projects: number): string {
  return `${projects.toLocaleString("en")} ${projects === 1 ? "project" : "projects"}`;
}
