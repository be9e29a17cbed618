import type { BOUNDS } from "../bounds.ts";

interface Options {
  readonly hubId: string;
  /** A gone hub's sessions have so long to appear elsewhere, milliseconds. */
  readonly graceMs: number;
  /** Nobody's sessions are due sooner than this after the watch began: until then there was no hub to come back to. */
  readonly startGraceMs: number;
  readonly bounds: Pick<typeof BOUNDS, "hubDeathMs">;
}

/** One look at all rows. Times are milliseconds of this hub's active time. */
export interface Look {
  readonly begunAt: number;
  readonly endedAt: number;
  /** False: MongoDB was slow, so a row may be old because its hub had to wait, too. */
  readonly isPrompt: boolean;
  readonly beats: ReadonlyMap<string, number>;
  /** Rows of greater hub_ids were not read; undefined: all were. */
  readonly readTo: string | undefined;
  /** Hubs that had sessions before this look began and that nobody knew. */
  readonly unknown: readonly string[];
}

/** What a look has changed. */
export interface Seen {
  /** Their rows stood still for too long. */
  readonly silent: readonly string[];
  /** They have sessions and no row: drained, or their row was removed, or they ended before this hub began. */
  readonly gone: readonly string[];
  /** They were taken for dead or gone, and answer. */
  readonly back: readonly string[];
}

/** A hub whose sessions may be judged now. */
export interface DueHub {
  readonly hubId: string;
  /** The number at which its row stands still, if it has one. */
  readonly beat: number | undefined;
  /** Due for a whole grace already: whoever was to judge its sessions did not. */
  readonly isOverdue: boolean;
}

type Lists = { readonly [K in keyof Seen]: string[] };

interface Row {
  /** Undefined: there is no row. */
  readonly beat: number | undefined;
  /** Watched time since which the number is known to stand. */
  readonly since: number;
  /** Watched time at which it was found dead or gone. */
  readonly outSince: number | undefined;
  /** Its number was seen to rise. */
  readonly hasRisen: boolean;
}

/** What is known of a hub: its number rises, stands still, is not there; or nobody can tell yet. */
export type HubState = "alive" | "dead" | "gone" | "unknown";

/**
 * Which other hubs are alive, from the numbers in their rows alone: no clock of another machine is looked at. What
 * counts is *watched time*: active time of this hub in which it could read the rows promptly. It stands still while
 * MongoDB is away or slow, and while this hub is stalled.
 *
 * ```
 *            number rises                                 the death is noticed again by every look
 *        ┌───────────────┐   stands still for hubDeathMs   ┌────────┐   graceMs   ┌─────┐
 *        │     alive     │ ──────────────────────────────▶ │  out   │ ──────────▶ │ due │
 *        └───────────────┘      has sessions, no row       └────────┘             └─────┘
 *                ▲         a row that rises or comes anew      │                     │
 *                └─────────────────────────────────────────────┴─────────────────────┘
 * ```
 * When MongoDB did not answer at all, everything begins anew: each hub gets its full time again.
 */
export class HubWatch {
  readonly #options: Options;
  /** The other hubs. Bounded by the rows of a look and the hubs found by their sessions. */
  readonly #hubs = new Map<string, Row>();
  #watched = 0;
  /** Active time at the end of the last look, if it was prompt. */
  #promptUntil: number | undefined;

  constructor(options: Options) {
    this.#options = options;
  }

  /** MongoDB did not answer, or was not asked: meanwhile nobody dies. */
  onFailure(): void {
    this.#promptUntil = undefined;
    this.#hubs.clear();
  }

  onLook({ begunAt, endedAt, isPrompt, beats, readTo, unknown }: Look): Seen {
    // A number was read at some moment between begin and end: a new one is known since the end, an old one until the
    // begin.
    const begun = this.#watched + (isPrompt && this.#promptUntil !== undefined ? begunAt - this.#promptUntil : 0);
    this.#watched = begun + (isPrompt ? endedAt - begunAt : 0);
    this.#promptUntil = isPrompt ? endedAt : undefined;
    const seen: Lists = { silent: [], gone: [], back: [] };
    for (const hubId of new Set([...this.#hubs.keys(), ...beats.keys(), ...unknown])) {
      const beat = beats.get(hubId);
      if (hubId === this.#options.hubId) continue;
      if (beat !== undefined) this.#onRow(hubId, beat, isPrompt ? begun : 0, seen);
      else if (readTo === undefined || hubId <= readTo) this.#onNoRow(hubId, seen);
    }
    return seen;
  }

  /** Dead or gone, as far as the last look could tell. */
  isOut(hubId: string): boolean {
    return this.#hubs.get(hubId)?.outSince !== undefined;
  }

  /** Of another hub, as far as the looks could tell. */
  stateOf(hubId: string): HubState {
    const row = this.#hubs.get(hubId);
    if (row?.outSince !== undefined) return row.beat === undefined ? "gone" : "dead";
    return row?.hasRisen ? "alive" : "unknown";
  }

  /** This hub and the others that are not out, sorted: the same list on all of them, most of the time. */
  get living(): string[] {
    const others = [...this.#hubs].filter(([, { outSince }]) => outSince === undefined);
    return [this.#options.hubId, ...others.map(([hubId]) => hubId)].toSorted();
  }

  /** All hubs that are accounted for, dead or alive. */
  get known(): string[] {
    return [this.#options.hubId, ...this.#hubs.keys()];
  }

  get due(): DueHub[] {
    const { graceMs } = this.#options;
    return [...this.#hubs].flatMap(([hubId, { beat, outSince }]) => {
      const overdueMs = outSince === undefined ? -1 : this.#watched - this.#dueAt(outSince);
      return overdueMs < 0 ? [] : [{ hubId, beat, isOverdue: overdueMs >= graceMs }];
    });
  }

  /** Nothing is left of an out hub. Should there be after all, it is found again, with a new grace. */
  forget(hubId: string): void {
    if (this.isOut(hubId)) this.#hubs.delete(hubId);
  }

  /** Milliseconds of watched time until a hub can be found dead or its sessions fall due; Infinity for never. */
  get nextChangeMs(): number {
    const times = [...this.#hubs.values()]
      .map(({ since, outSince }) =>
        outSince === undefined ? since + this.#options.bounds.hubDeathMs : this.#dueAt(outSince),
      )
      .filter((time) => time > this.#watched);
    return Math.min(...times) - this.#watched;
  }

  #dueAt(outSince: number): number {
    return Math.max(outSince + this.#options.graceMs, this.#options.startGraceMs);
  }

  #onRow(hubId: string, beat: number, stoodUntil: number, seen: Lists): void {
    const held = this.#hubs.get(hubId);
    const isOut = held?.outSince !== undefined;
    if (beat !== held?.beat) {
      this.#hubs.set(hubId, { beat, since: this.#watched, outSince: undefined, hasRisen: held !== undefined });
      if (isOut) seen.back.push(hubId);
    } else if (!isOut && stoodUntil - held.since >= this.#options.bounds.hubDeathMs) {
      this.#hubs.set(hubId, { ...held, outSince: this.#watched });
      seen.silent.push(hubId);
    }
  }

  #onNoRow(hubId: string, seen: Lists): void {
    const now = this.#watched;
    const held = this.#hubs.get(hubId);
    this.#hubs.set(hubId, { beat: undefined, since: now, outSince: held?.outSince ?? now, hasRisen: false });
    if (held?.outSince === undefined) seen.gone.push(hubId);
  }
}
