import type { Answer, Command } from "../../server/domain/commands.ts";
import type { MemoryChangeLog } from "../../server/memory/change-log.ts";
import type { MemoryProjections } from "../../server/memory/projections.ts";
import type { FanOut, Logger } from "../../server/ports.ts";
import type { Outcome } from "../../server/writer/outcome.ts";
import { repairAll } from "../../server/writer/repair.ts";
import { Core } from "../support/core.ts";
import type { VirtualTime } from "../support/virtual-time.ts";
import { FaultyChangeLog, FaultyProjections, type MajorityLag, type Wire } from "./faulty-ports.ts";

/** Small, so that every bound is met in a short history. */
const BOUNDS = {
  queuedPerProject: 40,
  entryChanges: 6,
  entryBytes: 4_000,
  commitDeadlineMs: 200,
  commitSweepMs: 20,
  unknownRetryFirstMs: 5,
  unknownRetryLastMs: 40,
  stateEveryVersions: 4,
  recentChanges: 12,
  recentBytes: 6_000,
  cachedFamilies: 3,
  familiesPerLoad: 2,
  entriesPerRead: 4,
  idleProjectMs: 150,
  headConfirmedMs: 400,
  projectionBatch: 3,
  projectedRanges: 3,
  raiseProjectedMs: 40,
  projectionHoleMs: 80,
  headPollMs: 40,
  headPollLiveMs: 200,
  gapWaitMs: 5,
  gapBytes: 4_000,
  snapshotTtlMs: 500,
};

const LIMITS = { snapshot_page: 2, replay_changes: 20 };

interface Shared {
  readonly time: VirtualTime;
  readonly changeLog: MemoryChangeLog;
  readonly projections: MemoryProjections;
  readonly lag: MajorityLag;
  /** What majority reads of documents see, when that is not all of them. */
  readonly durable: () => MemoryProjections | undefined;
  readonly fanOut: FanOut;
  readonly log: Logger;
}

/** A hub process that may crash, behind a wire that may fail. */
export class SimHub {
  readonly hubId: string;
  readonly died: Promise<void>;
  readonly core: Core;
  readonly #wire: Wire;
  #die = () => {};

  constructor(hubId: string, wire: Wire, { time, log, ...shared }: Shared) {
    this.hubId = hubId;
    this.died = new Promise((resolve) => {
      this.#die = resolve;
    });
    this.#wire = wire;
    this.core = new Core({
      hubId,
      time,
      changeLog: new FaultyChangeLog(shared.changeLog, wire, shared.lag),
      projections: new FaultyProjections(shared.projections, wire, shared.durable),
      bounds: BOUNDS,
      limits: LIMITS,
      fanOut: shared.fanOut,
      log,
    });
  }

  get isDead(): boolean {
    return this.#wire.isCut;
  }

  /** What a hub does before it takes requests; tries until the database answers. */
  async start(): Promise<void> {
    for (;;) {
      try {
        await repairAll(this.core.repair);
        return;
      } catch {
        await this.#wire.sleepUpTo(10);
      }
    }
  }

  submit(projectId: string, command: Command): Promise<Outcome<Answer>> {
    return this.core.submit(projectId, command);
  }

  /** As SIGKILL: nothing is answered any more. */
  crash(): void {
    this.#wire.isCut = true;
    this.#die();
    this.core.stop();
  }
}
