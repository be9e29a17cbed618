import type { BOUNDS } from "../bounds.ts";
import type { ChangeLog, Clock, Logger } from "../ports.ts";
import type { Project } from "../writer/project.ts";
import type { Projects } from "../writer/projects.ts";

interface Options {
  readonly projects: Projects;
  readonly changeLog: ChangeLog;
  readonly clock: Clock;
  /** What other hubs commit comes here by itself; heads are compared for what got lost on the way. */
  readonly isLive: () => boolean;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

/**
 * Compares the heads of followed projects with the log: that is how other hubs' commits arrive without Redis, and how
 * what Redis lost is found. One range seek per project, many in one query; each round waits for the one before it.
 */
export class HeadWatch {
  readonly #options: Options;
  readonly #timer: NodeJS.Timeout;
  #round: Promise<void> | undefined;
  /** Somebody asked during a round, which may have looked too early for them. */
  #isAskedAgain = false;
  /** Monotonic time at which the last round began. */
  #comparedAt: number;

  constructor(options: Options) {
    this.#options = options;
    this.#comparedAt = options.clock.monotonic();
    this.#timer = setInterval(() => this.#tick(), options.bounds.headPollMs);
  }

  /** Compares with what is in the log by now. */
  compareNow(): void {
    this.#isAskedAgain = true;
    this.#round ??= this.#compareUntilAnswered();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#isAskedAgain = false;
    await this.#round;
  }

  #tick(): void {
    const { isLive, clock, bounds } = this.#options;
    const isDue = clock.monotonic() - this.#comparedAt > bounds.headPollLiveMs - bounds.headPollMs;
    if (this.#round === undefined && (isDue || !isLive())) this.compareNow();
  }

  async #compareUntilAnswered(): Promise<void> {
    try {
      while (this.#isAskedAgain) {
        this.#isAskedAgain = false;
        this.#comparedAt = this.#options.clock.monotonic();
        await this.#compare();
      }
    } finally {
      this.#round = undefined;
    }
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
