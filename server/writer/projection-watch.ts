import type { BOUNDS } from "../bounds.ts";
import type { Base, ChangeLog, Clock, Logger, Projections } from "../ports.ts";
import type { Project } from "./project.ts";
import type { ProjectedMarks } from "./projected-marks.ts";
import type { Projector } from "./projector.ts";
import type { Projects } from "./projects.ts";
import { repairAll, repairProject } from "./repair.ts";

interface Options {
  readonly projects: Projects;
  readonly projector: Projector;
  readonly marks: ProjectedMarks;
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
  readonly base: Pick<Base, "readAll">;
  readonly clock: Clock;
  readonly log: Logger;
  /** How often MongoDB's primary has changed; `onPrimaryChange` follows at once. */
  readonly primaryChanges: () => number;
  readonly bounds: typeof BOUNDS;
}

interface Seen {
  /** The head of that moment. */
  readonly seq: number;
  readonly at: number;
}

/**
 * Looks for holes in the projection that nobody closes any more: another hub died between its append and its documents,
 * or MongoDB's new primary lost writes that only the old one had. A mark that does not reach in time where the head was
 * is repaired; so is one that several hubs, taking turns, could only raise one entry at a time.
 */
export class ProjectionWatch {
  readonly #options: Options;
  readonly #seen = new Map<string, Seen>();
  readonly #timer: NodeJS.Timeout;
  #everything = false;
  /** Projects that another hub may have left without documents when it died. */
  #left: ((projectId: string) => boolean) | undefined;
  #round: Promise<void> | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#timer = setInterval(() => this.#start(), options.bounds.projectionHoleMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#round;
  }

  /** MongoDB has another primary, which may lack documents: nothing known of them holds, every project is repaired. */
  onPrimaryChange(): void {
    const { marks, projector, projects } = this.#options;
    this.#everything = true;
    projector.onPrimaryChange();
    marks.onPrimaryChange();
    for (const project of projects.all()) project.distrustDocuments();
    this.#start();
  }

  /** Another hub died, perhaps between an append and its documents. Its share is also of projects nobody uses now. */
  onHubDeath(isMine: (projectId: string) => boolean): void {
    this.#left = isMine;
    this.#start();
  }

  #start(): void {
    this.#round ??= this.#next()
      .catch((error: unknown) => {
        this.#options.log.debug({ err: error }, "projection not looked at, will be tried again");
      })
      .finally(() => {
        this.#round = undefined;
      });
  }

  #next(): Promise<void> {
    if (this.#everything) return this.#repairEverything();
    if (this.#left !== undefined) return this.#repairLeft(this.#left);
    return this.#look();
  }

  async #repairLeft(isMine: (projectId: string) => boolean): Promise<void> {
    const repaired = await repairAll(this.#options, isMine);
    if (this.#left === isMine) this.#left = undefined;
    if (repaired.changes > 0) this.#options.log.info(repaired, "documents of a dead hub's commits written");
  }

  /** Every project, also those nobody uses here. Stays wanted until a pass gets through. */
  async #repairEverything(): Promise<void> {
    const { log, primaryChanges } = this.#options;
    const primary = primaryChanges();
    const repaired = await repairAll(this.#options);
    if (primary === primaryChanges()) this.#everything = false;
    log.info(repaired, "documents compared with the log");
  }

  async #look(): Promise<void> {
    const { projects, projections, clock, log, primaryChanges } = this.#options;
    const known = [...projects.all()].filter((project) => project.head.seq > 0);
    if (known.length === 0) return;
    const primary = primaryChanges();
    const marks = await projections.readProjectedSeqs(known.map((project) => project.id));
    const now = clock.monotonic();
    const behind = new Set<string>();
    for (const project of known) {
      const projectedSeq = marks.get(project.id) ?? 0;
      if (primary === primaryChanges()) project.projectedTo(projectedSeq);
      if (projectedSeq >= project.head.seq) continue;
      behind.add(project.id);
      if (!this.#isLate(project, projectedSeq, now)) continue;
      const changes = await repairProject(project.id, this.#options);
      log.info({ project_id: project.id, after_seq: projectedSeq, changes }, "a hole in the projection was repaired");
    }
    for (const projectId of this.#seen.keys()) if (!behind.has(projectId)) this.#seen.delete(projectId);
  }

  /** The mark has not reached the head that was seen a while ago. */
  #isLate(project: Project, projectedSeq: number, now: number): boolean {
    const seen = this.#seen.get(project.id);
    if (seen === undefined || projectedSeq >= seen.seq) this.#seen.set(project.id, { seq: project.head.seq, at: now });
    else if (now - seen.at >= this.#options.bounds.projectionHoleMs) return this.#seen.delete(project.id);
    return false;
  }
}
