import type { BOUNDS } from "../bounds.ts";
import type { ChangeLog, Clock, Logger, Projections } from "../ports.ts";
import type { Projects } from "./projects.ts";
import { repairAll, repairProject } from "./repair.ts";

interface Options {
  readonly projects: Projects;
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

interface Seen {
  readonly projectedSeq: number;
  readonly since: number;
}

/**
 * Looks for holes in the projection that nobody closes any more: another hub died between its append and its documents,
 * or MongoDB's new primary lost writes that only the old one had. A mark that stands still behind the head is repaired.
 */
export class ProjectionWatch {
  readonly #options: Options;
  readonly #seen = new Map<string, Seen>();
  readonly #timer: NodeJS.Timeout;
  #round: Promise<void> | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#timer = setInterval(() => this.#start(() => this.#look()), options.bounds.projectionHoleMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#round;
  }

  /** Every project, also those nobody uses here: after a change of MongoDB's primary. */
  repairEverything(): void {
    this.#start(async () => {
      const repaired = await repairAll(this.#options);
      this.#options.log.info(repaired, "documents compared with the log");
    });
  }

  #start(work: () => Promise<void>): void {
    this.#round ??= work()
      .catch((error: unknown) => {
        this.#options.log.debug({ err: error }, "projection not looked at, will be tried again");
      })
      .finally(() => {
        this.#round = undefined;
      });
  }

  async #look(): Promise<void> {
    const { projects, projections, clock, bounds, log } = this.#options;
    const known = [...projects.all()].filter((project) => project.head.seq > 0);
    if (known.length === 0) return;
    const marks = await projections.readProjectedSeqs(known.map((project) => project.id));
    const now = clock.monotonic();
    const behind = new Set<string>();
    for (const project of known) {
      const projectedSeq = marks.get(project.id) ?? 0;
      if (projectedSeq >= project.head.seq) continue;
      behind.add(project.id);
      const seen = this.#seen.get(project.id);
      if (seen?.projectedSeq !== projectedSeq) {
        this.#seen.set(project.id, { projectedSeq, since: now });
      } else if (now - seen.since >= bounds.projectionHoleMs) {
        const changes = await repairProject(project.id, this.#options);
        log.warn({ project_id: project.id, after_seq: projectedSeq, changes }, "a hole in the projection was repaired");
      }
    }
    for (const projectId of this.#seen.keys()) if (!behind.has(projectId)) this.#seen.delete(projectId);
  }
}
