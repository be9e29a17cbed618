import type { BOUNDS } from "../bounds.ts";
import type { SessionRecord, TaskRecord } from "../domain/records.ts";
import type { Logger, Projections } from "../ports.ts";
import { pause } from "../timing.ts";

interface Options {
  readonly projections: Projections;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

interface Waiting {
  readonly sessions: readonly SessionRecord[];
  readonly tasks: readonly TaskRecord[];
  readonly done: () => void;
}

/**
 * Writes the documents of committed entries, newest state each: commits that arrive while a round is under way share
 * the next one, and several changes to one document become one write. A round that fails is repeated until it passes;
 * documents never go backwards whatever the order, so repeating is safe. Its memory is bounded by the writer's queues:
 * a publish counts there until it is projected.
 */
export class Projector {
  readonly #options: Options;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;
  #primary = 0;
  #stopped = false;

  constructor(options: Options) {
    this.#options = options;
  }

  /** Calls `done` when documents at least as new as these stand in MongoDB. */
  project(sessions: readonly SessionRecord[], tasks: readonly TaskRecord[], done: () => void): void {
    this.#waiting.push({ sessions, tasks, done });
    this.#running ??= this.#run();
  }

  /** Resolves when nothing waits any more, or at once after `stop` when MongoDB does not answer. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** A round that is under way is written again: the former primary's word for it is worth nothing. */
  onPrimaryChange(): void {
    this.#primary += 1;
  }

  /** Gives up repeating failed rounds: the next start repairs what is missing. */
  stop(): void {
    this.#stopped = true;
  }

  async #run(): Promise<void> {
    // Let the other entries of the same append come along.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const round = this.#take();
      if (!(await this.#write(round))) break;
      for (const { done } of round) done();
    }
    // In the same step as the last look at what waits: what comes a moment later begins a run of its own.
    this.#running = undefined;
  }

  #take(): Waiting[] {
    let documents = 0;
    let count = 0;
    for (const waiting of this.#waiting) {
      documents += waiting.sessions.length + waiting.tasks.length;
      if (count > 0 && documents > this.#options.bounds.projectionBatch) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  async #write(round: readonly Waiting[]): Promise<boolean> {
    const { projections, log, bounds } = this.#options;
    const sessions = new Map<string, SessionRecord>();
    const tasks = new Map<string, TaskRecord>();
    for (const waiting of round) {
      for (const record of waiting.sessions) {
        const { project_id, session_id } = record.entity;
        keepNewest(sessions, `${project_id}/${session_id}`, record);
      }
      for (const record of waiting.tasks) {
        const { project_id, session_id, task_id } = record.entity;
        keepNewest(tasks, `${project_id}/${session_id}/${task_id}`, record);
      }
    }
    let wait: number = bounds.unknownRetryFirstMs;
    for (;;) {
      const primary = this.#primary;
      try {
        await projections.write({ sessions: [...sessions.values()], tasks: [...tasks.values()] });
        if (primary === this.#primary) return true;
      } catch (error) {
        if (this.#stopped) return false;
        log.warn({ err: error, documents: sessions.size + tasks.size }, "projection failed, will be repeated");
        await pause(wait);
        wait = Math.min(wait * 2, bounds.unknownRetryLastMs);
      }
    }
  }
}

function keepNewest<R extends { readonly appliedSeq: number }>(records: Map<string, R>, key: string, record: R): void {
  const held = records.get(key);
  if (held === undefined || held.appliedSeq < record.appliedSeq) records.set(key, record);
}
