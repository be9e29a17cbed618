import type { BOUNDS } from "../bounds.ts";
import type { VerdictCommand } from "../domain/commands.ts";
import type { HeldSession, HeldSessions, Hubs, Logger } from "../ports.ts";
import type { Writer } from "../writer/writer.ts";
import type { DueHub, HubWatch } from "./hub-watch.ts";
import { hubOfProject } from "./share.ts";

interface Options {
  readonly hubId: string;
  readonly hubs: Hubs;
  readonly heldSessions: HeldSessions;
  readonly watch: HubWatch;
  /** Whether the hub is dead or gone, by fresh knowledge. */
  readonly isOut: (hubId: string) => boolean;
  readonly writer: Pick<Writer, "submit">;
  readonly log: Logger;
  readonly bounds: Pick<typeof BOUNDS, "orphansPerRead" | "verdictBytes">;
}

/**
 * Declares the sessions of dead and gone hubs `lost`, straight from `online` or `stale`: their lease went with their
 * hub, and the grace has run since. All hubs sweep at once, each its share of the projects; a hub that fails its share
 * is stood in for a grace later. That each session gets one verdict is not owed to the shares: a verdict names hub,
 * incarnation and liveness as they were read, and is dropped in the commit once they differ.
 */
export class OrphanSweep {
  readonly #options: Options;
  #sweep: Promise<void> | undefined;
  #stopped = false;

  constructor(options: Options) {
    this.#options = options;
  }

  /** Begins a pass over all hubs that are due, unless one is under way. */
  start(): void {
    const { due } = this.#options.watch;
    if (due.length === 0 || this.#stopped) return;
    this.#sweep ??= this.#pass(due).finally(() => {
      this.#sweep = undefined;
    });
  }

  /** Resolves when no verdict of this sweep is under way any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#sweep;
  }

  async #pass(due: readonly DueHub[]): Promise<void> {
    for (const hub of due) {
      try {
        await this.#sweepHub(hub);
      } catch (error) {
        this.#options.log.debug({ err: error, hub: hub.hubId }, "sessions of a dead hub not read, will be tried again");
      }
    }
  }

  async #sweepHub({ hubId, beat, isOverdue }: DueHub): Promise<void> {
    const { heldSessions, hubs, watch, isOut, bounds, log } = this.#options;
    let lost = 0;
    let last: HeldSession | undefined;
    let page: readonly HeldSession[];
    do {
      page = await heldSessions.readOf(hubId, last, bounds.orphansPerRead);
      if (last === undefined && page.length === 0) {
        await hubs.remove(hubId, beat);
        watch.forget(hubId);
        return;
      }
      const { living } = watch;
      const share = page.filter(
        ({ projectId }) => isOverdue || hubOfProject(projectId, living) === this.#options.hubId,
      );
      const outcomes = await Promise.all(share.map((session) => this.#declareLost(hubId, session)));
      lost += outcomes.filter((isLost) => isLost).length;
      last = page.at(-1);
    } while (page.length === bounds.orphansPerRead && isOut(hubId) && !this.#stopped);
    if (lost > 0) log.warn({ hub: hubId, sessions: lost }, "sessions declared lost: their hub is gone");
  }

  /** Whether the session became `lost` by this very verdict. What failed is found again by the next pass. */
  async #declareLost(hubId: string, { projectId, sessionId, incarnation, liveness }: HeldSession): Promise<boolean> {
    const { writer, isOut, bounds } = this.#options;
    const verdict: VerdictCommand = {
      type: "verdict",
      session_id: sessionId,
      to: "lost",
      condition: { hub_id: hubId, incarnation, liveness },
      holds: () => isOut(hubId),
      actor: { kind: "hub", id: this.#options.hubId },
    };
    const outcome = await writer.submit(projectId, verdict, bounds.verdictBytes);
    return outcome.ok && outcome.value.results.some(({ changed }) => changed);
  }
}
