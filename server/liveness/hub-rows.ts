import type { BOUNDS } from "../bounds.ts";
import type { Clock, HeldSessions, Hubs, Logger } from "../ports.ts";
import type { ActiveTime } from "./active-time.ts";
import type { HubState, HubWatch, Seen } from "./hub-watch.ts";

interface Options {
  readonly hubId: string;
  readonly hubs: Hubs;
  readonly heldSessions: HeldSessions;
  readonly watch: HubWatch;
  readonly active: Pick<ActiveTime, "now">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
  /** After every look: sessions may have fallen due. */
  readonly onLook: () => void;
  /** Hubs that died and could not finish what they had begun. */
  readonly onDeath: () => void;
}

/** Keeps this hub's row rising and feeds the watch with the rows of the others. One round with MongoDB at a time. */
export class HubRows {
  readonly #options: Options;
  readonly #startedAt: string;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;
  #beat = 0;
  #raisedAt = Number.NEGATIVE_INFINITY;
  /** Monotonic time since which the last look holds. */
  #lookedAt = Number.NEGATIVE_INFINITY;
  #stopped = false;

  constructor(options: Options) {
    this.#options = options;
    this.#startedAt = new Date(options.clock.now()).toISOString();
  }

  /** Resolves when the row is there, so that no session names this hub before. Rejects when MongoDB does not answer. */
  async start(): Promise<void> {
    await this.#raise();
    this.#stopped = false;
    this.#schedule(0);
  }

  /** Dead or gone, by a look that is not too old to count: this hub may have been stalled since. */
  isOut(hubId: string): boolean {
    return this.#isRecent && this.#options.watch.isOut(hubId);
  }

  /** Of another hub, by such a look. */
  stateOf(hubId: string): HubState {
    return this.#isRecent ? this.#options.watch.stateOf(hubId) : "unknown";
  }

  /** Removes the row: the others need not wait for this hub. It may start again, and then knows nothing of them. */
  async stop(): Promise<void> {
    const { hubs, hubId, watch, log } = this.#options;
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#round;
    watch.onFailure();
    this.#beat = 0;
    try {
      await hubs.remove(hubId);
    } catch (error) {
      log.warn({ err: error }, "this hub's row was not removed; the others will see it stand still");
    }
  }

  get #isRecent(): boolean {
    const { clock, bounds } = this.#options;
    return clock.monotonic() - this.#lookedAt < bounds.hubDeathMs;
  }

  #schedule(ms: number): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#round = this.#look();
    }, ms);
  }

  async #look(): Promise<void> {
    const { watch, log, bounds, clock, onLook } = this.#options;
    try {
      const isDue = clock.monotonic() - this.#raisedAt >= bounds.hubRaiseMs - bounds.hubReadMs / 2;
      this.#tell(await this.#read(isDue));
      onLook();
    } catch (error) {
      watch.onFailure();
      log.debug({ err: error }, "rows of the hubs not read, will be tried again");
    }
    this.#schedule(Math.min(bounds.hubReadMs, watch.nextChangeMs + 1));
  }

  async #read(raises: boolean): Promise<Seen> {
    const { hubs, watch, active, clock, bounds } = this.#options;
    const started = clock.monotonic();
    if (raises) await this.#raise();
    // Before the rows: a hub has its row before its first session.
    const unknown = raises ? await this.#findUnknown() : [];
    const readFrom = clock.monotonic();
    const begunAt = active.now();
    const beats = await hubs.read(bounds.hubRows);
    const endedAt = active.now();
    const isPrompt = clock.monotonic() - started <= bounds.hubRoundSlowMs;
    const readTo = beats.size < bounds.hubRows ? undefined : [...beats.keys()].at(-1);
    this.#lookedAt = readFrom;
    return watch.onLook({ begunAt, endedAt, isPrompt, beats, readTo, unknown });
  }

  async #raise(): Promise<void> {
    const { hubs, hubId, clock, log } = this.#options;
    this.#raisedAt = clock.monotonic();
    const beat = await hubs.raise(hubId, this.#startedAt);
    if (beat <= this.#beat) {
      log.warn({}, "other hubs took this one for dead and may have declared its sessions lost; it goes on");
    }
    this.#beat = beat;
  }

  async #findUnknown(): Promise<string[]> {
    const { heldSessions, watch, bounds } = this.#options;
    const unknown: string[] = [];
    while (unknown.length < bounds.goneHubsPerRound) {
      const hubId = await heldSessions.findOtherHub([...watch.known, ...unknown]);
      if (hubId === undefined) break;
      unknown.push(hubId);
    }
    return unknown;
  }

  #tell({ silent, gone, back }: Seen): void {
    const { log, onDeath } = this.#options;
    for (const hub of silent) log.warn({ hub }, "a hub does not answer, its sessions get the grace");
    for (const hub of gone) log.info({ hub }, "a hub is gone, its sessions get the grace");
    for (const hub of back) log.info({ hub }, "a hub answers again");
    if (silent.length > 0) onDeath();
  }
}
