import type { BOUNDS } from "../bounds.ts";
import type { Logger, SharedCounter } from "../ports.ts";

export interface SharedUse {
  readonly name: string;
  readonly count: number;
}

/** Counts that the other hubs are to know of. */
export interface Shared {
  /** Counted here since the last call. */
  untold(): SharedUse[];
  /** What all hubs have counted under this name, this hub's count included. */
  told(use: SharedUse, total: number): void;
}

interface Options {
  readonly counter: SharedCounter;
  /** By what they count. */
  readonly shared: Readonly<Record<string, Shared>>;
  readonly log: Logger;
  readonly bounds: Pick<typeof BOUNDS, "sharedCountsMs" | "sharedCountsPerRound">;
}

/**
 * Tells the other hubs from time to time what was counted here, and hears what they counted. Nobody waits for it: a round
 * that Redis does not answer is lost, and each hub counts for itself.
 */
export class SharedCounts {
  readonly #options: Options;
  readonly #timer: NodeJS.Timeout;
  #round: Promise<unknown> | undefined;
  #isFailing = false;

  constructor(options: Options) {
    this.#options = options;
    this.#timer = setInterval(() => this.#tell(), options.bounds.sharedCountsMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** One round at a time; what came meanwhile is not made up for. */
  #tell(): void {
    const { shared, bounds } = this.#options;
    const uses = Object.entries(shared).flatMap(([what, counts]) =>
      counts.untold().map((use) => ({ what, counts, use })),
    );
    if (this.#round !== undefined || uses.length === 0) return;
    const round = uses
      .slice(0, bounds.sharedCountsPerRound)
      .map(({ what, counts, use }) => this.#add(what, counts, use));
    this.#round = Promise.all(round).finally(() => {
      this.#round = undefined;
    });
  }

  async #add(what: string, counts: Shared, use: SharedUse): Promise<void> {
    try {
      counts.told(use, await this.#options.counter.add(what, use.name, use.count));
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing) this.#options.log.info({ err: error }, "limits are counted by each hub alone for now");
      this.#isFailing = true;
    }
  }
}
