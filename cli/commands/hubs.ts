import { Command } from "commander";
import type { HubView } from "../../shared/rest/operations.ts";
import { findHubAddress } from "../hub-address.ts";
import { urlOption } from "../options.ts";
import { ago, print, printable, printJson, table } from "../output.ts";
import { askHub } from "../rest.ts";

const HEAD = ["hub", "state", "started", "sessions", "connections", ""];
const NOT_KNOWN = "?";

export function hubsCommand(): Command {
  return new Command("hubs")
    .summary("list the hubs, and which of them are alive")
    .description("Lists every hub process of the database as one of them sees the others. Needs an operator key.")
    .addOption(urlOption())
    .option("--json", 'one JSON object on stdout: {"items": [...], "length": n}')
    .addHelpText(
      "after",
      `
alive: its number in the database rises. dead: it stands still. gone: it has sessions, and no number. unknown: the hub that
answers has not watched it for long enough. Connections are those with API keys, as each hub told within the last seconds.

Examples:
  state-hub hubs
  state-hub hubs --json | jq -r '.items[] | select(.state != "alive") | .hub_id'`,
    )
    .action(listHubs);
}

async function listHubs({ url, json }: { readonly url?: string; readonly json?: true }): Promise<void> {
  const list = await askHub<{ items: readonly HubView[]; length: number }>(findHubAddress(url), {
    path: "/admin/hubs",
  });
  if (json) printJson(list);
  else print(hubTable(list.items, Date.now()));
}

function hubTable(hubs: readonly HubView[], now: number): string {
  const number = (value: number | undefined) => value?.toLocaleString("en") ?? NOT_KNOWN;
  const rows = hubs.map(({ hub_id, self, state, started_at, sessions, key_connections }) => [
    printable(hub_id),
    printable(state),
    started_at === undefined ? NOT_KNOWN : `${ago(started_at, now)} ago`,
    number(sessions),
    number(key_connections),
    self ? "(answers)" : "",
  ]);
  return table([HEAD, ...rows]);
}
