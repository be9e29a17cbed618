import type { BOUNDS } from "../bounds.ts";
import type { Purges } from "../forgetting/purges.ts";
import type { Clock, Logger } from "../ports.ts";
import { type TrimPorts, trimStep } from "./trim.ts";
import type { TrimTerms } from "./trim-rule.ts";

interface Options extends Omit<TrimPorts, "bounds"> {
  /** How long, and how many changes of a project, the log keeps; 0: age or number is no reason to forget. */
  readonly logDays: number;
  readonly logChanges: number;
  /** How long sessions stay after their end; 0: for ever. */
  readonly sessionDays: number;
  readonly purges: Pick<Purges, "forgetEnded" | "resume">;
  /** Whether a project falls to this hub, so that hubs share the work; nothing depends on it. */
  readonly isMine: (projectId: string) => boolean;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

const DAY_MS = 24 * 60 * 60_000;

/**
 * Trims the logs of all projects, a few entries at a time, and forgets sessions that ended long ago. It takes a small part
 * of MongoDB's time, and less when MongoDB is slow: each step is followed by a pause of several times its own length.
 */
export class Retention {
  readonly #options: Options;
  readonly #timer: NodeJS.Timeout;
  #sweeping: Promise<void> | undefined;
  #wake = () => {};
  #isStopped = false;

  constructor(options: Options) {
    this.#options = options;
    this.#timer = setInterval(() => this.#start(), options.bounds.trimSweepMs);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#timer);
    this.#wake();
    await this.#sweeping;
  }

  #start(): void {
    const { log } = this.#options;
    this.#sweeping ??= this.#sweep()
      .catch((error: unknown) => log.debug({ err: error }, "logs not looked at, will be tried again"))
      .finally(() => {
        this.#sweeping = undefined;
      });
  }

  async #sweep(): Promise<void> {
    const { changeLog, isMine, purges, bounds } = this.#options;
    await purges.resume(isMine);
    if (this.#keepsAll) return;
    for await (const projectId of changeLog.projectIds()) {
      if (this.#isStopped) return;
      const isTrimmed = !isMine(projectId) || (await this.#tryToTrim(projectId));
      await this.#rest(isTrimmed ? bounds.trimPauseMs : bounds.trimSlowPauseMs);
    }
  }

  get #keepsAll(): boolean {
    const { logDays, logChanges, sessionDays } = this.#options;
    return logDays === 0 && logChanges === 0 && sessionDays === 0;
  }

  /** What one project meets must not keep the others from being trimmed. */
  async #tryToTrim(projectId: string): Promise<boolean> {
    try {
      await this.#forgetEnded(projectId);
      await this.#trim(projectId);
      return true;
    } catch (error) {
      this.#options.log.debug({ err: error, project_id: projectId }, "retention has not got on, will be tried again");
      return false;
    }
  }

  async #forgetEnded(projectId: string): Promise<void> {
    const { sessionDays, purges, clock, log, bounds } = this.#options;
    if (sessionDays === 0) return;
    const endedBefore = new Date(clock.now() - sessionDays * DAY_MS).toISOString();
    for (let sessions = 0; ; ) {
      const started = clock.monotonic();
      const some = await purges.forgetEnded(projectId, endedBefore);
      sessions += some;
      if (some > 0 && !this.#isStopped) await this.#rest((clock.monotonic() - started) * bounds.trimPauseFactor);
      else if (sessions === 0) return;
      else return log.info({ project_id: projectId, sessions }, "sessions forgotten that ended long ago");
    }
  }

  async #trim(projectId: string): Promise<void> {
    const { clock, log, bounds } = this.#options;
    let trimmed = 0;
    for (;;) {
      const started = clock.monotonic();
      const step = await trimStep(projectId, this.#terms(), this.#options);
      trimmed += step.trimmed;
      if (step.isDone || this.#isStopped) break;
      const tookMs = clock.monotonic() - started;
      await this.#rest(tookMs > bounds.trimSlowMs ? bounds.trimSlowPauseMs : tookMs * bounds.trimPauseFactor);
    }
    if (trimmed > 0) log.info({ project_id: projectId, changes: trimmed }, "log trimmed");
  }

  #terms(): Omit<TrimTerms, "headSeq" | "projectedSeq"> {
    const { logDays, logChanges, clock, bounds } = this.#options;
    const before = (ms: number) => new Date(clock.now() - ms).toISOString();
    return {
      youngest: before(bounds.trimYoungestMs),
      olderThan: logDays === 0 ? undefined : before(logDays * DAY_MS),
      keptChanges: logChanges === 0 ? undefined : logChanges,
    };
  }

  /** Until the time is over or the hub stops. */
  #rest(ms: number): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms).unref();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
