import type { Level } from "../../shared/rest/operations.ts";
import type { Clock, Logger } from "../ports.ts";

/** A logger whose level can be changed while it is used, such as pino's. */
export interface LevelledLogger extends Logger {
  level: string;
}

interface Options {
  readonly log: LevelledLogger;
  readonly clock: Pick<Clock, "now">;
}

export interface LevelChange {
  readonly before: Level;
  readonly level: Level;
  /** When the level goes back to `afterwards`, ISO 8601. */
  readonly until?: string;
  readonly afterwards?: Level;
}

const MINUTE_MS = 60_000;

/**
 * The least level of this hub's log lines. One that is set for some minutes lies over the lasting one and ends by itself;
 * the next change, of either kind, takes its place.
 */
export class LogLevel {
  readonly #options: Options;
  #lasting: Level;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#lasting = this.current;
  }

  get current(): Level {
    return this.#options.log.level as Level;
  }

  /** @param minutes undefined: it lasts */
  set(level: Level, minutes: number | undefined): LevelChange {
    const { clock } = this.#options;
    const before = this.current;
    this.stop();
    if (minutes === undefined) {
      this.#lasting = level;
      this.#put(level);
      return { before, level };
    }
    const ms = minutes * MINUTE_MS;
    this.#timer = setTimeout(() => this.#put(this.#lasting), ms).unref();
    this.#put(level);
    return { before, level, until: new Date(clock.now() + ms).toISOString(), afterwards: this.#lasting };
  }

  /** The level stays as it is. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  #put(level: Level): void {
    const { log } = this.#options;
    log.warn({ from: this.current, to: level }, "log level changed");
    log.level = level;
  }
}
