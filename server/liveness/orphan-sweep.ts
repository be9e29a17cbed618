import type { BOUNDS } from "../bounds.ts";
import type { VerdictCommand } from "../domain/commands.ts";
import type { Clock, HeldSession, HeldSessions, Hubs, Logger } from "../ports.ts";
import type { Writer } from "../writer/writer.ts";
import type { DueHub, HubWatch } from "./hub-watch.ts";
import { shareOf } from "./share.ts";

interface Options {
  readonly hubId: string;
  readonly hubs: Hubs;
  readonly heldSessions: HeldSessions;
  readonly watch: HubWatch;
  /** Whether the hub is dead or gone, by fresh knowledge. */
  readonly isOut: (hubId: string) => boolean;
  readonly writer: Pick<Writer, "submit">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: Pick<typeof BOUNDS, "orphansPerRead" | "orphanPassMs" | "verdictsInFlight" | "verdictBytes">;
}

/**
 * Declares the sessions of dead and gone hubs `lost`, straight from `online` or `stale`: their lease went with their
 * hub, and the grace has run since. All hubs sweep at once, each its share of the projects; a hub that fails its share
 * is stood in for a grace later. That each session gets one verdict is not owed to the shares: a verdict names hub,
 * incarnation and liveness as they were read, and is dropped in the commit once they differ.
 */
export class OrphanSweep {
  readonly #options: Options;
  /** Monotonic times of the last passes over hubs that are due. */
  readonly #passedAt = new Map<string, number>();
  #sweep: Promise<void> | undefined;
  #isPaused = false;

  constructor(options: Options) {
    this.#options = options;
  }

  /** Begins a pass over all hubs that are due, unless one is under way. */
  start(): void {
    if (this.#isPaused || this.#sweep !== undefined) return;
    const due = this.#rested(this.#options.watch.due);
    if (due.length === 0) return;
    this.#sweep = this.#pass(due).finally(() => {
      this.#sweep = undefined;
    });
  }

  /** Resolves when no verdict of this sweep is under way any more. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    await this.#sweep;
  }

  resume(): void {
    this.#isPaused = false;
  }

  async #pass(due: readonly DueHub[]): Promise<void> {
    const { clock, log } = this.#options;
    for (const hub of due) {
      try {
        await this.#sweepHub(hub);
      } catch (error) {
        log.debug({ err: error, hub: hub.hubId }, "sessions of a dead hub not read, will be tried again");
      }
      this.#passedAt.set(hub.hubId, clock.monotonic());
    }
  }

  /** Those not passed over a moment ago: what the other hubs have still to do need not be read again and again. */
  #rested(due: readonly DueHub[]): DueHub[] {
    const { clock, bounds } = this.#options;
    const before = clock.monotonic() - bounds.orphanPassMs;
    for (const hubId of this.#passedAt.keys()) {
      if (!due.some((hub) => hub.hubId === hubId)) this.#passedAt.delete(hubId);
    }
    return due.filter(({ hubId }) => (this.#passedAt.get(hubId) ?? Number.NEGATIVE_INFINITY) <= before);
  }

  async #sweepHub({ hubId, beat, isOverdue }: DueHub): Promise<void> {
    const { hubs, watch, bounds, log } = this.#options;
    const isShare = shareOf(this.#options.hubId, watch.living);
    let isEmpty = true;
    let lost = 0;
    const waiting: HeldSession[] = [];
    for await (const page of this.#pages(hubId)) {
      isEmpty = false;
      waiting.push(...page.filter(({ projectId }) => isOverdue || isShare(projectId)));
      while (waiting.length >= bounds.verdictsInFlight) {
        lost += await this.#declareLost(hubId, waiting.splice(0, bounds.verdictsInFlight));
      }
    }
    lost += await this.#declareLost(hubId, waiting);
    if (lost > 0) log.warn({ hub: hubId, sessions: lost }, "sessions declared lost: their hub is gone");
    if (!isEmpty) return;
    if (beat !== undefined) await hubs.remove(hubId, beat);
    watch.forget(hubId);
  }

  /** Ends early when the hub is heard of again, or this one stops. */
  async *#pages(hubId: string): AsyncGenerator<readonly HeldSession[]> {
    const { heldSessions, isOut, bounds } = this.#options;
    let last: HeldSession | undefined;
    do {
      const page = await heldSessions.readOf(hubId, last, bounds.orphansPerRead);
      if (page.length > 0) yield page;
      last = page.length === bounds.orphansPerRead ? page.at(-1) : undefined;
    } while (last !== undefined && isOut(hubId) && !this.#isPaused);
  }

  /** How many of them became `lost` by these very verdicts. What failed is found again by the next pass. */
  async #declareLost(hubId: string, sessions: readonly HeldSession[]): Promise<number> {
    const { writer, isOut, bounds } = this.#options;
    if (this.#isPaused) return 0;
    const outcomes = await Promise.all(
      sessions.map(({ projectId, sessionId, incarnation, liveness }) => {
        const verdict: VerdictCommand = {
          type: "verdict",
          session_id: sessionId,
          to: "lost",
          condition: { hub_id: hubId, incarnation, liveness },
          holds: () => !this.#isPaused && isOut(hubId),
          actor: { kind: "hub", id: this.#options.hubId },
        };
        return writer.submit(projectId, verdict, bounds.verdictBytes);
      }),
    );
    return outcomes.filter((outcome) => outcome.ok && outcome.value.results.some(({ changed }) => changed)).length;
  }
}
