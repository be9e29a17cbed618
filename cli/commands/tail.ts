import { constants } from "node:os";
import { Command } from "commander";
import type { ConnectionState } from "../../client/connection-state.ts";
import { followProject, type ProjectFollower } from "../../client/follower.ts";
import type { MirrorChange } from "../../client/mirror.ts";
import { DEFAULT_PROJECT_ID, ID_PATTERN } from "../../shared/ids.ts";
import type { Position } from "../../shared/position.ts";
import { changeText } from "../change-text.ts";
import { CliError, EXIT } from "../exit.ts";
import { findHubAddress, type HubAddress, nonEmpty } from "../hub-address.ts";
import { urlOption } from "../options.ts";
import { print, printJson, say } from "../output.ts";
import { parseCount, parseId, parsePosition } from "../parse.ts";
import { badKey } from "../rest.ts";

interface TailOptions {
  readonly url?: string;
  readonly since?: Position;
  readonly last?: number;
  readonly session?: string;
  readonly limit?: number;
  readonly json?: true;
}

export function tailCommand(): Command {
  return new Command("tail")
    .summary("print a project's changes as they commit")
    .description(
      "Prints every change of a project as it commits, until Ctrl-C. It survives restarts of the hub and lost connections: no change is left out and none comes twice. When it ends it says from where to continue.",
    )
    .argument("[project]", `project id (default: $STATE_HUB_PROJECT, else ${DEFAULT_PROJECT_ID})`)
    .option("--since <position>", "begin after this position, <epoch>:<seq>", parsePosition)
    .option("--last <number>", "begin with the last changes before now (at most 1000)", parseCount)
    .option("-s, --session <id>", "only changes of this session and its tasks", parseId)
    .option("-n, --limit <number>", "end after so many changes", parseCount)
    .addOption(urlOption())
    .option("--json", 'one JSON object a line: the changes with their "epoch"; a hole would be {"reset": {...}}')
    .addHelpText(
      "after",
      `
Examples:
  state-hub tail default
  state-hub tail default --last 20 --json | jq -c 'select(.type == "ended")'

Exit code: 0 after --limit, 128 + number after a signal.`,
    )
    .action(tail);
}

async function tail(argument: string | undefined, options: TailOptions): Promise<void> {
  const projectId = argument ?? nonEmpty(process.env.STATE_HUB_PROJECT) ?? DEFAULT_PROJECT_ID;
  if (!ID_PATTERN.test(projectId)) throw new CliError(`${JSON.stringify(projectId)} is no project id`, EXIT.usage);
  if (options.since !== undefined && options.last !== undefined) {
    throw new CliError("--since and --last exclude each other", EXIT.usage);
  }
  const hub = findHubAddress(options.url);
  const since = options.last === undefined ? options.since : await positionBefore(hub, projectId, options.last);
  const code = await new Tail(hub, projectId, since, options).finished;
  process.exit(code);
}

/** Asks where the project stands, and goes back from there. */
async function positionBefore(hub: HubAddress, projectId: string, count: number): Promise<Position | undefined> {
  const follower = followProject({ ...hub, projectId });
  const notice = new AwayNotice(hub, follower);
  try {
    const { epoch, seq } = await follower.ready;
    return epoch === "" ? undefined : { epoch, seq: Math.max(0, seq - Math.min(count, 1_000)) };
  } catch {
    throw notice.finalError();
  } finally {
    follower.close();
  }
}

class Tail {
  /** With the exit code. */
  readonly finished: Promise<number>;
  readonly #follower: ProjectFollower;
  readonly #options: TailOptions;
  #printed = 0;
  #isOver = false;
  #finish: (code: number) => void = () => {};

  constructor(hub: HubAddress, projectId: string, since: Position | undefined, options: TailOptions) {
    this.#options = options;
    this.#follower = followProject({ ...hub, projectId, ...(since === undefined ? {} : { since }) });
    const notice = new AwayNotice(hub, this.#follower);
    this.finished = new Promise((resolve, reject) => {
      this.#finish = (code) => {
        this.#isOver = true;
        this.#follower.close();
        resolve(code);
      };
      this.#follower.on("state", (state) => {
        if (state.name === "stopped" && state.why === "failed") reject(notice.finalError());
      });
    });
    this.#follower.on("change", (change) => this.#show(change));
    this.#follower.on("reset", (reset) => {
      // The first snapshot is where it begins; a later one, or one in place of the position asked for, is a hole.
      if (reset.reason === "first" && reset.from.epoch === "") return;
      if (options.json) printJson({ reset });
      say(
        `changes ${reset.from.seq + 1} to ${reset.to.seq} cannot be shown one by one any more (${reset.reason}); it goes on from there`,
      );
    });
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.once(signal, () => {
        this.#tellPosition();
        this.#finish(128 + constants.signals[signal]);
      });
    }
  }

  #show(told: MirrorChange): void {
    const { session, limit, json } = this.#options;
    const { change } = told;
    if (this.#isOver || (session !== undefined && change.session_id !== session)) return;
    if (json) printJson({ ...change, epoch: this.#follower.position.epoch });
    else print(changeText(told));
    this.#printed += 1;
    if (limit !== undefined && this.#printed >= limit) {
      say(`continue with --since ${this.#follower.position.epoch}:${change.seq}`);
      this.#finish(EXIT.ok);
    }
  }

  #tellPosition(): void {
    const { epoch, seq } = this.#follower.position;
    if (epoch !== "") say(`continue with --since ${epoch}:${seq}`);
  }
}

/** Says once that the hub is away and once that it is back, instead of a line per attempt. */
class AwayNotice {
  readonly #hub: HubAddress;
  readonly #follower: ProjectFollower;
  #error: CliError | undefined;
  #isAway = false;

  constructor(hub: HubAddress, follower: ProjectFollower) {
    this.#hub = hub;
    this.#follower = follower;
    follower.on("state", (state) => this.#changed(state));
  }

  finalError(): CliError {
    return this.#error ?? new CliError("the connection to the hub was ended");
  }

  #changed(state: ConnectionState): void {
    if (state.name === "waiting" && !this.#isAway) {
      this.#isAway = true;
      say(`${state.cause.message}; trying again until it is there`);
    } else if (state.name === "ready" && this.#isAway) {
      this.#isAway = false;
      say(`connected to ${this.#follower.url}`);
    } else if (state.name === "stopped" && state.error !== undefined) {
      const { code, message } = state.error;
      this.#error =
        code === "UNAUTHENTICATED"
          ? new CliError(badKey(this.#hub), EXIT.noKey)
          : new CliError(`the hub refused: ${message} (${code})`);
    }
  }
}
