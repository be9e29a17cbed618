import { askedPauseMs, backoffMs } from "./backoff.ts";
import type { Clock } from "./clock.ts";

interface Hub {
  readonly url: string;
  /** In this round. */
  wasTried: boolean;
  /** On the clock: it asked not to be tried before. */
  leaveAloneUntil: number;
}

/** A link that held for so long counts as good; a hub that accepts and drops at once must not be asked in a loop. */
const STEADY_MS = 1_000;

/**
 * Which of several hubs comes next, and when. Each client has an order of its own, so that they spread. What fails is
 * followed by the next one at once, until all were tried: that is a round. Between rounds the pause grows. A hub that
 * asked for a pause is left alone meanwhile; it alone, the others are tried.
 */
export class HubRotation {
  readonly #clock: Clock;
  /** The one at hand comes first. */
  #hubs: Hub[];
  #rounds = 0;
  #readySince: number | undefined;

  constructor(urls: readonly string[], clock: Clock) {
    this.#clock = clock;
    this.#hubs = shuffled(urls, clock).map((url) => ({
      url,
      wasTried: false,
      leaveAloneUntil: Number.NEGATIVE_INFINITY,
    }));
  }

  /** Of the hub at hand: connected to, or tried next. */
  get url(): string {
    return this.#first.url;
  }

  /** Sessions are open, or the mirror is in step. */
  ready(): void {
    this.#readySince ??= this.#clock.now();
  }

  /**
   * The hub at hand failed, refused or went away; with what it said about coming back, milliseconds. Moves on and
   * answers the pause before the next one is tried.
   */
  next(askedMs?: number): number {
    const now = this.#clock.now();
    const chance = this.#clock.random();
    const wasSteady = this.#readySince !== undefined && now - this.#readySince >= STEADY_MS;
    this.#readySince = undefined;
    if (wasSteady) this.#beginRound(0);
    const failed = this.#first;
    failed.wasTried = true;
    const pause = askedMs === undefined ? undefined : askedPauseMs(askedMs, chance);
    failed.leaveAloneUntil = pause === undefined ? Number.NEGATIVE_INFINITY : now + pause;
    this.#hubs = [...this.#hubs.slice(1), failed];

    const untried = this.#hubs.find((hub) => !hub.wasTried && hub.leaveAloneUntil <= now);
    if (untried !== undefined) return this.#choose(untried, now, now);

    this.#beginRound(this.#rounds + 1);
    const roundAt = now + backoffMs(this.#rounds, chance);
    // What a hub asked for counts instead of the pause between rounds, be it longer or shorter.
    const dueAt = (hub: Hub) => (hub.leaveAloneUntil >= now ? hub.leaveAloneUntil : roundAt);
    const soonest = this.#hubs.reduce((best, hub) => (dueAt(hub) < dueAt(best) ? hub : best));
    return this.#choose(soonest, dueAt(soonest), now);
  }

  get #first(): Hub {
    const [first] = this.#hubs;
    if (first === undefined) throw new Error("a rotation of no hubs");
    return first;
  }

  #beginRound(rounds: number): void {
    this.#rounds = rounds;
    for (const hub of this.#hubs) hub.wasTried = false;
  }

  #choose(hub: Hub, at: number, now: number): number {
    this.#hubs = [hub, ...this.#hubs.filter((other) => other !== hub)];
    return at - now;
  }
}

/** Every order equally likely (Fisher and Yates). */
function shuffled<T>(items: readonly T[], clock: Clock): T[] {
  const rest = [...items];
  return items.map(() => rest.splice(Math.floor(clock.random() * rest.length), 1)[0] as T);
}
