import type { BOUNDS } from "../bounds.ts";
import { within } from "../patience.ts";
import type { Clock, HeldSessions, Logger } from "../ports.ts";
import type { Project } from "../writer/project.ts";
import type { Projects } from "../writer/projects.ts";

interface Options {
  readonly projects: Projects;
  readonly heldSessions: Pick<HeldSessions, "idsOf">;
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Logger;
  readonly bounds: Pick<
    typeof BOUNDS,
    "returnsPerProject" | "returnsAtOnce" | "returnsAgainMs" | "returnsWaitMs" | "familiesPerLoad"
  >;
}

/**
 * Sessions come back from a hub that is gone all at once, each for itself. The first one of a project has the others
 * loaded with it, a few reads for all instead of as many for each; those who come meanwhile wait for the same reads. It
 * only makes things fast: what is not loaded here is loaded when the open is decided.
 */
export class ReturningSessions {
  readonly #options: Options;
  readonly #loading = new Map<string, Promise<void>>();
  /** Monotonic time at which the sessions of a project were loaded together. */
  readonly #loadedAt = new WeakMap<Project, number>();
  /** Each lane loads one project after the other. */
  readonly #lanes: Promise<void>[];
  #turn = 0;

  constructor(options: Options) {
    this.#options = options;
    this.#lanes = Array.from({ length: options.bounds.returnsAtOnce }, () => Promise.resolve());
  }

  /** Resolves, never rejects, when the session is at hand, or when it is not worth waiting any longer. */
  async prepare(projectId: string, sessionId: string): Promise<void> {
    const { projects, clock, bounds, log } = this.#options;
    const known = projects.known(projectId);
    if (known?.peek(sessionId) !== undefined) return;
    const loadedAt = known === undefined ? undefined : this.#loadedAt.get(known);
    if (loadedAt !== undefined && clock.monotonic() - loadedAt < bounds.returnsAgainMs) return;
    try {
      await within(bounds.returnsWaitMs, this.#loading.get(projectId) ?? this.#begin(projectId));
    } catch (error) {
      log.debug({ err: error, project_id: projectId }, "sessions of a project not loaded together");
    }
  }

  #begin(projectId: string): Promise<void> {
    const lane = this.#turn % this.#lanes.length;
    this.#turn += 1;
    const loading = (this.#lanes[lane] ?? Promise.resolve())
      .then(() => this.#load(projectId))
      .finally(() => this.#loading.delete(projectId));
    this.#lanes[lane] = loading.catch(() => {});
    this.#loading.set(projectId, loading);
    return loading;
  }

  async #load(projectId: string): Promise<void> {
    const { projects, heldSessions, clock, bounds } = this.#options;
    const project = await projects.get(projectId);
    const ids = await heldSessions.idsOf(projectId, bounds.returnsPerProject);
    this.#loadedAt.set(project, clock.monotonic());
    for (let start = 0; start < ids.length; start += bounds.familiesPerLoad) {
      const isMissing = (id: string) => !project.loading.has(id) && project.peek(id) === undefined;
      const missing = ids.slice(start, start + bounds.familiesPerLoad).filter(isMissing);
      if (missing.length > 0) await projects.load(project, missing);
    }
  }
}
