import { BOUNDS } from "../../server/bounds.ts";
import type { Answer, Command } from "../../server/domain/commands.ts";
import { HeadWatch } from "../../server/following/head-watch.ts";
import { Snapshots } from "../../server/following/snapshots.ts";
import type { MemoryChangeLog } from "../../server/memory/change-log.ts";
import type { MemoryProjections } from "../../server/memory/projections.ts";
import type { Logger } from "../../server/ports.ts";
import type { Outcome } from "../../server/writer/outcome.ts";
import { ProjectedMarks } from "../../server/writer/projected-marks.ts";
import { ProjectionWatch } from "../../server/writer/projection-watch.ts";
import { Projector } from "../../server/writer/projector.ts";
import { Projects } from "../../server/writer/projects.ts";
import { repairAll } from "../../server/writer/repair.ts";
import { Writer } from "../../server/writer/writer.ts";
import { DEFAULT_LIMITS, type Limits } from "../../shared/limits.ts";
import type { VirtualTime } from "../support/virtual-time.ts";
import { FaultyChangeLog, FaultyProjections, type MajorityLag, type Wire } from "./faulty-ports.ts";

/** Small, so that every bound is met in a short history. */
export const SIM_BOUNDS = {
  ...BOUNDS,
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
  raiseProjectedMs: 40,
  projectionHoleMs: 80,
  headPollMs: 40,
  snapshotTtlMs: 500,
} as unknown as typeof BOUNDS;

const SIM_LIMITS: Limits = { ...DEFAULT_LIMITS, snapshot_page: 2, replay_changes: 20 };

interface Shared {
  readonly time: VirtualTime;
  readonly changeLog: MemoryChangeLog;
  readonly projections: MemoryProjections;
  readonly lag: MajorityLag;
  /** What majority reads of documents see. */
  readonly durable: () => MemoryProjections | undefined;
  readonly log: Logger;
}

/** The core of a hub process, without edges. */
export class SimHub {
  readonly hubId: string;
  readonly died: Promise<void>;
  readonly projects: Projects;
  readonly snapshots: Snapshots;
  readonly following: {
    readonly projects: Projects;
    readonly snapshots: Snapshots;
    readonly changeLog: FaultyChangeLog;
    readonly limits: Limits;
    readonly bounds: typeof BOUNDS;
  };
  readonly changeLog: FaultyChangeLog;
  readonly #projections: FaultyProjections;
  readonly #log: Logger;
  readonly #wire: Wire;
  readonly #writer: Writer;
  readonly #projector: Projector;
  readonly #marks: ProjectedMarks;
  readonly #projectionWatch: ProjectionWatch;
  readonly #headWatch: HeadWatch;
  #primaryChanges = 0;
  #die = () => {};

  constructor(hubId: string, wire: Wire, shared: Shared) {
    const { time, log: logger } = shared;
    this.hubId = hubId;
    this.died = new Promise((resolve) => {
      this.#die = resolve;
    });
    this.#wire = wire;
    this.#log = logger;
    const changeLog = new FaultyChangeLog(shared.changeLog, wire, shared.lag);
    const projections = new FaultyProjections(shared.projections, wire, shared.durable);
    this.changeLog = changeLog;
    this.#projections = projections;
    const common = { changeLog, projections, clock: time, log: logger, bounds: SIM_BOUNDS };
    this.projects = new Projects(common);
    this.#marks = new ProjectedMarks(common);
    this.#projector = new Projector(common);
    this.#writer = new Writer({
      ...common,
      hubId,
      limits: SIM_LIMITS,
      projects: this.projects,
      projector: this.#projector,
      marks: this.#marks,
    });
    this.#projectionWatch = new ProjectionWatch({
      ...common,
      projects: this.projects,
      projector: this.#projector,
      marks: this.#marks,
      primaryChanges: () => this.#primaryChanges,
    });
    this.#headWatch = new HeadWatch({ ...common, projects: this.projects });
    this.snapshots = new Snapshots({ ...common, pageSize: SIM_LIMITS.snapshot_page });
    this.following = {
      projects: this.projects,
      snapshots: this.snapshots,
      changeLog,
      limits: SIM_LIMITS,
      bounds: SIM_BOUNDS,
    };
  }

  get isDead(): boolean {
    return this.#wire.isCut;
  }

  /** What a hub does before it takes requests; tries until the database answers. */
  async start(): Promise<void> {
    for (;;) {
      try {
        await repairAll({
          changeLog: this.changeLog,
          projections: this.#projections,
          log: this.#log,
          primaryChanges: () => this.#primaryChanges,
          bounds: SIM_BOUNDS,
        });
        return;
      } catch {
        await this.#wire.sleepUpTo(10);
      }
    }
  }

  submit(projectId: string, command: Command): Promise<Outcome<Answer>> {
    return this.#writer.submit(projectId, command, JSON.stringify(command).length);
  }

  onPrimaryChange(): void {
    this.#primaryChanges += 1;
    this.#projectionWatch.onPrimaryChange();
  }

  get openJobs(): number {
    return this.#writer.openJobs;
  }

  /** As SIGKILL: nothing is answered any more. */
  crash(): void {
    this.#wire.isCut = true;
    this.#die();
    this.#writer.stop();
    this.#projector.stop();
    void this.#marks.stop();
    void this.#projectionWatch.stop();
    void this.#headWatch.stop();
  }
}
