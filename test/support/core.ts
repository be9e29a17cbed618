import { BOUNDS } from "../../server/bounds.ts";
import type { Answer, Command } from "../../server/domain/commands.ts";
import type { LeaseTerms } from "../../server/domain/liveness.ts";
import { Arrivals } from "../../server/following/arrivals.ts";
import { HeadWatch } from "../../server/following/head-watch.ts";
import { Replays } from "../../server/following/replays.ts";
import { Snapshots } from "../../server/following/snapshots.ts";
import { ActiveTime } from "../../server/liveness/active-time.ts";
import { LeaseSweep } from "../../server/liveness/lease-sweep.ts";
import { Leases } from "../../server/liveness/leases.ts";
import { LOCAL_FAN_OUT } from "../../server/local-fan-out.ts";
import { MemoryBase } from "../../server/memory/base.ts";
import type { Base, ChangeLog, FanOut, Logger, Projections } from "../../server/ports.ts";
import type { Outcome } from "../../server/writer/outcome.ts";
import { ProjectedMarks } from "../../server/writer/projected-marks.ts";
import { ProjectionWatch } from "../../server/writer/projection-watch.ts";
import { Projector } from "../../server/writer/projector.ts";
import { Projects } from "../../server/writer/projects.ts";
import { Writer } from "../../server/writer/writer.ts";
import { DEFAULT_LIMITS, type Limits } from "../../shared/limits.ts";
import { QUIET } from "./entries.ts";
import type { VirtualTime } from "./virtual-time.ts";

interface Options {
  readonly hubId: string;
  readonly time: VirtualTime;
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
  /** What trimming has folded; none, unless told. */
  readonly base?: Base;
  readonly bounds?: Partial<{ readonly [K in keyof typeof BOUNDS]: number }>;
  readonly limits?: Partial<Limits>;
  readonly log?: Logger;
  readonly leaseTerms?: () => LeaseTerms;
  /** Whether a session is open on a connection; without edges nobody knows unless told. */
  readonly isOpen?: (projectId: string, sessionId: string) => boolean;
  readonly fanOut?: FanOut;
}

/** Longer than any history that is not about leases. */
const ENDLESS: LeaseTerms = { ttlMs: 3_600_000, graceMs: 3_600_000 };

/** The core of a hub, without edges and on any stores: what server/hub.ts wires, for simulation and unit tests. */
export class Core {
  readonly projects: Projects;
  readonly marks: ProjectedMarks;
  readonly projector: Projector;
  readonly writer: Writer;
  readonly active: ActiveTime;
  readonly leases: Leases;
  readonly leaseSweep: LeaseSweep;
  readonly snapshots: Snapshots;
  readonly following: {
    readonly projects: Projects;
    readonly snapshots: Snapshots;
    readonly replays: Replays;
    readonly limits: Limits;
    readonly bounds: typeof BOUNDS;
  };
  /** What the repair pass needs. */
  readonly repair: {
    readonly changeLog: ChangeLog;
    readonly projections: Projections;
    readonly base: Base;
    readonly primaryChanges: () => number;
    readonly log: Logger;
    readonly bounds: typeof BOUNDS;
  };
  readonly #projectionWatch: ProjectionWatch;
  readonly headWatch: HeadWatch;
  readonly arrivals: Arrivals;
  readonly fanOut: FanOut;
  #primaryChanges = 0;

  constructor({ hubId, time, changeLog, projections, ...options }: Options) {
    const bounds = { ...BOUNDS, ...options.bounds } as typeof BOUNDS;
    const limits: Limits = { ...DEFAULT_LIMITS, ...options.limits };
    const base = options.base ?? new MemoryBase();
    const common = { changeLog, projections, clock: time, log: options.log ?? QUIET, bounds };
    const projects = new Projects(common);
    const marks = new ProjectedMarks(common);
    const projector = new Projector(common);
    const primaryChanges = () => this.#primaryChanges;
    this.projects = projects;
    this.marks = marks;
    this.projector = projector;
    this.writer = new Writer({ ...common, hubId, limits, projects, projector, marks });
    this.active = new ActiveTime(common);
    this.leases = new Leases({ ...common, hubId, active: this.active });
    this.leaseSweep = new LeaseSweep({
      ...common,
      hubId,
      leases: this.leases,
      writer: this.writer,
      active: this.active,
      terms: options.leaseTerms ?? (() => ENDLESS),
      isOpen: options.isOpen ?? (() => true),
    });
    projects.onEntry((project, entry) => this.leases.onEntry(project, entry));
    this.#projectionWatch = new ProjectionWatch({ ...common, base, projects, projector, marks, primaryChanges });
    const fanOut = options.fanOut ?? LOCAL_FAN_OUT;
    this.fanOut = fanOut;
    this.headWatch = new HeadWatch({ ...common, projects, isLive: () => fanOut.state.mode === "live" });
    this.arrivals = new Arrivals({ ...common, projects });
    projects.onEntry((project, entry) => {
      if (entry.hub_id === hubId) fanOut.publish(entry);
      this.arrivals.onApplied(project);
    });
    fanOut.onEntry((entry, bytes) => this.arrivals.onEntry(entry, bytes));
    this.snapshots = new Snapshots({ ...common, pageSize: limits.snapshot_page });
    projects.onAnew((project) => this.snapshots.forgetBefore(project));
    this.following = { projects, snapshots: this.snapshots, replays: new Replays(common), limits, bounds };
    this.repair = { changeLog, projections, base, primaryChanges, log: common.log, bounds };
  }

  submit(projectId: string, command: Command): Promise<Outcome<Answer>> {
    return this.writer.submit(projectId, command, JSON.stringify(command).length);
  }

  /** The answer; a refusal fails the test. */
  async answer(projectId: string, command: Command): Promise<Answer> {
    const outcome = await this.submit(projectId, command);
    if (!outcome.ok) throw new Error(`refused: ${outcome.refusal.code} ${outcome.refusal.message}`);
    return outcome.value;
  }

  onHubDeath(isMine: (projectId: string) => boolean): void {
    this.#projectionWatch.onHubDeath(isMine);
  }

  onPrimaryChange(): void {
    this.#primaryChanges += 1;
    this.#projectionWatch.onPrimaryChange();
  }

  /** Timers and all; what is under way may still go on. */
  stop(): void {
    this.leaseSweep.stop();
    this.active.stop();
    this.writer.stop();
    this.projector.stop();
    void this.marks.stop();
    void this.#projectionWatch.stop();
    void this.headWatch.stop();
    void this.arrivals.stop();
    this.snapshots.stop();
  }
}
