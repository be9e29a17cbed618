import type { BOUNDS } from "../bounds.ts";
import type { Clock, HeldSessions, Hubs, Logger } from "../ports.ts";
import type { Writer } from "../writer/writer.ts";
import type { ActiveTime } from "./active-time.ts";
import { HubRows } from "./hub-rows.ts";
import { type HubState, HubWatch } from "./hub-watch.ts";
import { OrphanSweep } from "./orphan-sweep.ts";
import { hubOfProject } from "./share.ts";

interface Options {
  readonly hubId: string;
  readonly hubs: Hubs;
  readonly heldSessions: HeldSessions;
  readonly writer: Pick<Writer, "submit">;
  readonly active: Pick<ActiveTime, "now">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
  readonly ttlMs: number;
  readonly graceMs: number;
  /** A hub died: it may have left commits without documents. The function says which projects fall to this hub. */
  readonly onDeath: (isMine: (projectId: string) => boolean) => void;
}

/** The other hubs on this database: showing them that this one lives, and judging the sessions of those that do not. */
export class OtherHubs {
  readonly #rows: HubRows;
  readonly #sweep: OrphanSweep;
  readonly #hubId: string;
  readonly #watch: HubWatch;

  constructor({ ttlMs, graceMs, onDeath, ...options }: Options) {
    const { hubId, bounds } = options;
    // Agents that were without any hub get what a lease that began now would give them.
    const watch = new HubWatch({ hubId, graceMs, startGraceMs: ttlMs + graceMs, bounds });
    const isOut = (other: string) => this.#rows.isOut(other);
    this.#hubId = hubId;
    this.#watch = watch;
    this.#sweep = new OrphanSweep({ ...options, watch, isOut });
    this.#rows = new HubRows({
      ...options,
      watch,
      onLook: () => this.#sweep.start(),
      onDeath: () => onDeath((projectId) => this.isMine(projectId)),
    });
  }

  /** Resolves when the others can see this hub; call before it takes sessions. Rejects when MongoDB does not answer. */
  async start(): Promise<void> {
    await this.#rows.start();
    this.#sweep.resume();
  }

  /** Whether a project falls to this hub, of those that live as far as it knows. */
  isMine(projectId: string): boolean {
    return hubOfProject(projectId, this.#watch.living) === this.#hubId;
  }

  /** Hubs that are accounted for, this one included. */
  get known(): string[] {
    return this.#watch.known;
  }

  /** Whether it lives, as far as this hub can tell now. */
  stateOf(hubId: string): HubState {
    return hubId === this.#hubId ? "alive" : this.#rows.stateOf(hubId);
  }

  /** No verdicts from now on; resolves when none is under way. */
  pauseJudging(): Promise<void> {
    return this.#sweep.pause();
  }

  /** The others need not wait for this hub any more. */
  async stop(): Promise<void> {
    await this.#sweep.pause();
    await this.#rows.stop();
  }
}
