import type { BOUNDS } from "../bounds.ts";
import type { ChangeLog, Logger } from "../ports.ts";
import type { Project } from "../writer/project.ts";
import type { Projects } from "../writer/projects.ts";

interface Options {
  readonly projects: Projects;
  readonly changeLog: ChangeLog;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

/**
 * Compares the heads of followed projects with the log, so that what other hubs commit arrives here without Redis too.
 * One range seek per project, many in one query; each round waits for the one before it.
 */
export class HeadWatch {
  readonly #options: Options;
  readonly #timer: NodeJS.Timeout;
  #round: Promise<void> | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#timer = setInterval(() => {
      this.#round ??= this.#compare().finally(() => {
        this.#round = undefined;
      });
    }, options.bounds.headPollMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#round;
  }

  async #compare(): Promise<void> {
    const { projects, bounds, log } = this.#options;
    projects.dropIdle();
    const followed = [...projects.all()].filter((project) => project.followers > 0 && !project.appending);
    for (let start = 0; start < followed.length; start += bounds.headsPerPoll) {
      try {
        await this.#catchUpBehind(followed.slice(start, start + bounds.headsPerPoll));
      } catch (error) {
        log.debug({ err: error }, "heads not compared, will be tried again");
      }
    }
  }

  async #catchUpBehind(followed: readonly Project[]): Promise<void> {
    const { projects, changeLog } = this.#options;
    const heads = followed.map((project) => ({ projectId: project.id, seq: project.head.seq }));
    for (const projectId of await changeLog.findAhead(heads)) {
      const project = projects.known(projectId);
      if (project !== undefined) await projects.catchUp(project);
    }
  }
}
