import { constants } from "node:os";
import { Command } from "commander";
import { ID_PATTERN } from "../../shared/ids.ts";
import { CliError, EXIT } from "../exit.ts";
import { findHubAddress } from "../hub-address.ts";
import { urlOption } from "../options.ts";
import { print, printJson, say } from "../output.ts";
import { Bell } from "../watch/bell.ts";
import { Following } from "../watch/following.ts";
import { layout } from "../watch/layout.ts";
import { paint } from "../watch/paint.ts";
import { documentOf, type Filter, type Picture } from "../watch/picture.ts";
import { Screen } from "../watch/screen.ts";

interface WatchOptions {
  readonly url?: string;
  readonly needsMe?: true;
  readonly all?: true;
  readonly once?: true;
  readonly bell?: true;
  readonly json?: true;
}

const HOUR_MS = 3_600_000;
/** As long as a hub keeps them in its snapshots. */
const DAY_MS = 24 * HOUR_MS;

const ONCE_WITHIN_MS = 20_000;
/** Changes that come together are shown together. */
const REDRAW_AFTER_MS = 100;
const REPRINT_AFTER_MS = 250;
/** Ages grow. */
const TICK_MS = 1_000;

export function watchCommand(): Command {
  return new Command("watch")
    .summary("see live who needs you, who is lost, and what the others do")
    .description(
      "Shows sessions as a live table, those that need a person first: questions, then lost and stalled agents, then what works, then what ended within the last hour. Without a project it follows all projects of the hub (at most 100, those with questions first). What is shown while the hub is away is marked with ?, and the first line says since when.",
    )
    .argument("[project]", "only this project")
    .option("--needs-me", "only sessions that wait for an answer, are lost, or are stalled")
    .option("-a, --all", "also those that ended within the last 24 hours")
    .option("--once", "print the table once and end")
    .option("--bell", "ring the terminal's bell when one more session needs a person")
    .addOption(urlOption())
    .option("--json", "one JSON document a line, now and after every change")
    .addHelpText(
      "after",
      `
q or Ctrl-C ends it. Where stdout is no terminal, the table is printed anew after every change; NO_COLOR is heeded.
SINCE is how long the state holds; of working, idle and paused sessions, how long at least.

Examples:
  state-hub watch
  state-hub watch shop --needs-me --bell
  state-hub watch --once --json | jq -r '.sessions[] | select(.needs_me) | .session_id'

Exit code: 0 after q or --once, 128 + number after a signal.`,
    )
    .action(watch);
}

async function watch(projectId: string | undefined, options: WatchOptions): Promise<void> {
  if (projectId !== undefined && !ID_PATTERN.test(projectId)) {
    throw new CliError(`${JSON.stringify(projectId)} is no project id`, EXIT.usage);
  }
  const target = { hub: findHubAddress(options.url), projectId, filter: filterOf(options) };
  if (options.once) await watchOnce(target, options);
  else process.exit(await new Watch(target, options).finished);
}

function filterOf({ needsMe, all }: WatchOptions): Filter {
  return { needsMe: needsMe === true, endedWithinMs: all ? DAY_MS : HOUR_MS };
}

type Target = Pick<ConstructorParameters<typeof Following>[0], "hub" | "projectId" | "filter">;

async function watchOnce(target: Target, options: WatchOptions): Promise<void> {
  const following = new Following({ ...target, changed: () => {}, failed: () => {} });
  try {
    await following.once(ONCE_WITHIN_MS);
    printPicture(following.picture(), options);
  } finally {
    following.close();
  }
}

function printPicture(picture: Picture, { json }: WatchOptions): void {
  if (json) printJson(documentOf(picture));
  else print(tableOf(picture, process.stdout.columns ?? Number.POSITIVE_INFINITY));
}

function tableOf(picture: Picture, columns: number): string {
  return paint(layout(picture, { columns, lines: Number.POSITIVE_INFINITY }), hasColors()).join("\n");
}

class Watch {
  /** With the exit code. */
  readonly finished: Promise<number>;
  readonly #options: WatchOptions;
  readonly #following: Following;
  readonly #bell: Bell | undefined;
  readonly #screen: Screen | undefined;
  readonly #tick: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  #isOver = false;
  #printed = "";
  #hasSaidWhy = false;
  #end: (end: number | CliError) => void = () => {};

  constructor(target: Target, options: WatchOptions) {
    this.#options = options;
    this.#bell = options.bell ? new Bell() : undefined;
    this.finished = new Promise((resolve, reject) => {
      this.#end = (end) => {
        this.#close();
        if (typeof end === "number") resolve(end);
        else reject(end);
      };
    });
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.once(signal, () => this.#end(128 + constants.signals[signal]));
    }
    if (canDraw() && !options.json) {
      this.#screen = this.#openScreen();
      this.#tick = setInterval(() => this.#show(), TICK_MS);
    }
    this.#following = new Following({
      ...target,
      changed: () => this.#showSoon(),
      failed: (error) => this.#end(error),
    });
    void this.#following.start();
    this.#showSoon();
  }

  #openScreen(): Screen {
    const screen = new Screen({
      input: process.stdin,
      output: process.stdout,
      onKey: (key) => this.#pressed(key),
      onResize: () => this.#show(),
    });
    process.on("SIGCONT", () => {
      screen.close();
      screen.open();
      this.#show();
    });
    screen.open();
    return screen;
  }

  #pressed(keys: string): void {
    // An arrow or another key that is more than one character.
    if (keys.startsWith("\u001b")) return;
    if (/q/i.test(keys)) this.#end(EXIT.ok);
    else if (keys.includes("\u0003")) this.#end(128 + constants.signals.SIGINT);
    else if (keys.includes("\u001a")) {
      this.#screen?.close();
      // The whole group, as the terminal does it: whoever started this process waits in it.
      process.kill(0, "SIGTSTP");
    }
  }

  #showSoon(): void {
    if (this.#isOver) return;
    this.#soon ??= setTimeout(
      () => {
        this.#soon = undefined;
        this.#show();
      },
      this.#screen === undefined ? REPRINT_AFTER_MS : REDRAW_AFTER_MS,
    );
  }

  #show(): void {
    const picture = this.#following.picture();
    if (this.#bell?.isDue(picture)) this.#bell.ring();
    const screen = this.#screen;
    if (screen === undefined) this.#printIfOther(picture);
    else {
      const lines = layout(picture, { columns: screen.columns, lines: screen.lines, hint: "q quit" });
      screen.draw(paint(lines, hasColors()));
    }
  }

  /** That time goes by is no change. */
  #printIfOther(picture: Picture): void {
    if (picture.connection.state === "connecting") {
      this.#sayWhy(picture.connection.cause);
      return;
    }
    const content = JSON.stringify({ ...documentOf(picture), at: undefined });
    if (content === this.#printed) return;
    if (this.#printed !== "" && !this.#options.json) print("");
    this.#printed = content;
    printPicture(picture, this.#options);
  }

  /** Once: there is nothing to print yet, and nobody should wonder why. */
  #sayWhy(cause: string | undefined): void {
    if (cause === undefined || this.#hasSaidWhy) return;
    this.#hasSaidWhy = true;
    say(`${cause}; trying again until it is there`);
  }

  #close(): void {
    this.#isOver = true;
    clearInterval(this.#tick);
    clearTimeout(this.#soon);
    this.#following.close();
    this.#screen?.close();
  }
}

function canDraw(): boolean {
  return process.stdout.isTTY && process.env.TERM !== "dumb";
}

function hasColors(): boolean {
  return process.stdout.isTTY && process.stdout.hasColors();
}
