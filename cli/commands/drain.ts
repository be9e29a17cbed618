import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { CliError, EXIT } from "../exit.ts";
import { findOneHub, type HubAddress } from "../hub-address.ts";
import { urlOption } from "../options.ts";
import { print, printJson, say } from "../output.ts";
import { askHub } from "../rest.ts";

interface DrainOptions {
  readonly url?: string;
  readonly hold?: true;
  readonly json?: true;
}

interface Progress {
  readonly hub_id: string;
  readonly state: "serving" | "draining" | "held";
  readonly hold: boolean;
  readonly under_way: number;
  readonly connections: number;
  readonly connections_before: number;
}

const POLL_MS = 250;
/** One refused connection may be chance. */
const CONFIRM_MS = 600;
/** A hub that stops ends itself after 25 s, whatever was still open. */
const PATIENCE_MS = 35_000;

export function drainCommand(): Command {
  return new Command("drain")
    .summary("take a hub out of service without losing anything")
    .description(
      "Asks a hub to take nothing new, finish what is under way, and send its clients to the other hubs one after the " +
        "other; then it ends. Says what is left until it is done.",
    )
    .option("--hold", "the hub stays up without clients, and refuses everything until `state-hub resume`")
    .addOption(urlOption())
    .option("--json", "how it ended as JSON on stdout")
    .addHelpText(
      "after",
      `
Name the hub by its own address, not by that of a balancer, behind which any hub may answer.

Examples:
  state-hub drain                                    end the hub
  state-hub drain --hold --url http://hub-2:3000     keep it out of service for a while…
  state-hub resume --url http://hub-2:3000           …and take it back`,
    )
    .action(drain);
}

async function drain(options: DrainOptions): Promise<void> {
  const hub = findOneHub(options.url);
  const hold = options.hold === true;
  const begunAt = performance.now();
  const first = await askHub<Progress>(hub, { method: "POST", path: "/admin/drain", body: { hold } });
  if (hold && !first.hold) throw new CliError(`hub ${first.hub_id} is on its way out already and cannot be held`);
  const last = await follow(hub, first, begunAt);
  const seconds = Math.round((performance.now() - begunAt) / 100) / 10;
  const { hub_id, connections_before } = last;
  const isHeld = last.state === "held";
  if (options.json) {
    printJson({ hub_id, state: isHeld ? "held" : "gone", connections_before, seconds });
    return;
  }
  print(`hub ${hub_id} ${isHeld ? "is held" : "has gone"}; ${connectionsOf(connections_before)} moved in ${seconds} s`);
  if (isHeld) say(`it serves again after \`state-hub resume --url ${hub.url}\``);
}

/** What was last heard of it: held, or the hub is gone. */
async function follow(hub: HubAddress, first: Progress, begunAt: number): Promise<Progress> {
  let told = "";
  for (let last = first; ; ) {
    if (last.state === "held") return last;
    const line = left(last);
    if (line !== told) say(line);
    told = line;
    if (performance.now() - begunAt > PATIENCE_MS) {
      throw new CliError(`hub ${first.hub_id} has not ended after ${PATIENCE_MS / 1_000} s: ${line}`);
    }
    await sleep(POLL_MS);
    const next = await look(hub);
    if (next === undefined) return last;
    if (next.hub_id !== first.hub_id) {
      say(`hub ${next.hub_id} answers at ${hub.url} now`);
      return last;
    }
    if (next.state === "serving") throw new CliError(`hub ${next.hub_id} was resumed meanwhile`);
    last = next;
  }
}

/** Undefined: no hub answers any more. */
async function look(hub: HubAddress): Promise<Progress | undefined> {
  try {
    return await askHub<Progress>(hub, { path: "/admin/drain", waitMs: CONFIRM_MS });
  } catch (error) {
    if (error instanceof CliError && error.exitCode === EXIT.unreachable) return undefined;
    throw error;
  }
}

function left({ under_way, connections, connections_before }: Progress): string {
  const requests = under_way === 1 ? "1 request" : `${count(under_way)} requests`;
  const of = connectionsOf(connections_before);
  return `draining: ${requests} under way, ${count(connections)} of ${of} left`;
}

function connectionsOf(number: number): string {
  return number === 1 ? "1 connection" : `${count(number)} connections`;
}

function count(number: number): string {
  return number.toLocaleString("en");
}
