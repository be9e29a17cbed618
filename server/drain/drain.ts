import type { DrainProgress } from "../../shared/rest/operations.ts";
import type { BOUNDS } from "../bounds.ts";
import { within } from "../patience.ts";
import type { Clock, Logger } from "../ports.ts";
import { pause } from "../timing.ts";
import { type Movable, moveAll } from "./move.ts";
import { planTurns } from "./turns.ts";

interface Options {
  readonly hubId: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
  /** Requests of clients that have no answer yet, and publishes that are not settled. */
  readonly underWay: () => number;
  /** Everyone who is connected; those first who can do nothing meanwhile. */
  readonly connections: () => readonly Movable[];
  readonly liveness: {
    /** Nobody is judged from now on; resolves when no verdict is under way. */
    pauseJudging(): Promise<void>;
    /** The others need not wait for this hub any more. */
    leave(): Promise<void>;
    /** Among the others again, judging as if it had just started. Rejects when MongoDB does not answer. */
    rejoin(): Promise<void>;
  };
  /** What MongoDB hears only from time to time: heartbeats, marks. */
  readonly writeBack: () => Promise<unknown>;
  /** An operator wants the hub to end; whoever runs it stops it. */
  readonly onEnd: () => void;
}

type DrainState =
  /** As ever. */
  | "serving"
  /** Takes nothing new, settles what is under way, moves its clients; then it ends, or is held. */
  | "draining"
  /** Without clients, and refuses everything until it is resumed. */
  | "held";

/**
 * How a hub goes without anybody noticing more than a reconnect: nothing acked is lost, nothing is left half done.
 *
 * ```
 *            begin                         hold
 *  serving ─────────▶ draining ──────────────────────▶ held
 *     ▲                  │ else                         │ │
 *     │                  ▼            stop              │ │ resume
 *     │               (closed) ◀────────────────────────┘ │
 *     └───────────────────────────────────────────────────┘
 * ```
 */
export class Drain {
  readonly #options: Options;
  #run: Promise<void> | undefined;
  #isDone = false;
  #isHeld = false;
  #before = 0;
  #rejoining: Promise<boolean> | undefined;

  constructor(options: Options) {
    this.#options = options;
  }

  get state(): DrainState {
    if (this.#run === undefined) return "serving";
    return this.#isDone && this.#isHeld ? "held" : "draining";
  }

  /** Not ready, and nothing new is taken. */
  get isDraining(): boolean {
    return this.#run !== undefined;
  }

  get progress(): DrainProgress {
    const { hubId, underWay, connections } = this.#options;
    return {
      hub_id: hubId,
      state: this.state,
      hold: this.#isHeld,
      under_way: underWay(),
      connections: connections().length,
      connections_before: this.#before,
    };
  }

  /** What an operator asks for. A hub that is on its way out cannot be held any more. */
  request({ hold }: { readonly hold: boolean }): void {
    if (hold) void this.begin({ hold });
    else this.#options.onEnd();
  }

  /** Resolves when every client has moved and the others do not count on this hub any more. Never rejects. */
  begin({ hold }: { readonly hold: boolean }): Promise<void> {
    this.#isHeld = hold && (this.#run === undefined || this.#isHeld);
    this.#run ??= this.#drain();
    return this.#run;
  }

  /** Serves again; false while that cannot be, since the drain is under way. Rejects when MongoDB does not answer. */
  resume(): Promise<boolean> {
    this.#rejoining ??= this.#resume().finally(() => {
      this.#rejoining = undefined;
    });
    return this.#rejoining;
  }

  async #resume(): Promise<boolean> {
    const { liveness, log } = this.#options;
    if (this.state !== "held") return this.state === "serving";
    await liveness.rejoin();
    // It may have been stopped meanwhile.
    if (this.state !== "held") return false;
    this.#run = undefined;
    this.#isHeld = false;
    log.info({}, "resumed: the hub serves again");
    return true;
  }

  async #drain(): Promise<void> {
    const { liveness, writeBack, connections, clock, bounds, log } = this.#options;
    const begunAt = clock.monotonic();
    this.#isDone = false;
    this.#before = connections().length;
    log.info({ connections: this.#before, hold: this.#isHeld }, "draining: not ready, nothing new is taken");
    await this.#step("publishes settled", () => Promise.all([this.#settled(), liveness.pauseJudging()]));
    await this.#step("heartbeats and marks written back", () => within(bounds.drainWriteBackMs, writeBack()));
    await this.#step("clients moved", () => this.#move(bounds.drainAtMostMs - (clock.monotonic() - begunAt)));
    await this.#step("left the other hubs", () => liveness.leave());
    this.#isDone = true;
    log.info({ ms: Math.round(clock.monotonic() - begunAt), hold: this.#isHeld }, "drained");
  }

  /** One that fails does not keep the next from its turn: whatever was acked is in the log. */
  async #step(what: string, work: () => Promise<unknown>): Promise<void> {
    const { clock, log } = this.#options;
    const begunAt = clock.monotonic();
    const figures = () => {
      const { under_way, connections } = this.progress;
      return { under_way, connections, ms: Math.round(clock.monotonic() - begunAt) };
    };
    try {
      await work();
      log.info(figures(), `draining: ${what}`);
    } catch (error) {
      log.warn({ ...figures(), err: error }, `draining: not all ${what}`);
    }
  }

  /** Answers are written: what the writer settles is acked in a later turn. */
  async #settled(): Promise<void> {
    const { clock, bounds, underWay } = this.#options;
    const until = clock.monotonic() + bounds.drainSettleMs;
    do await pause(SETTLE_TICK_MS);
    while (underWay() > 0 && clock.monotonic() < until);
    if (underWay() > 0) throw new Error("some have had no answer in time");
  }

  async #move(budgetMs: number): Promise<void> {
    const { connections, clock, bounds } = this.#options;
    const moving = connections();
    await moveAll(moving, planTurns(moving.length, budgetMs, bounds), clock);
  }
}

const SETTLE_TICK_MS = 10;
