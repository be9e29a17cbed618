import type { BOUNDS } from "../bounds.ts";
import type { Logger, Projections } from "../ports.ts";

interface Options {
  readonly projections: Projections;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

interface Range {
  from: number;
  to: number;
}

/**
 * Raises each project's `projected_seq`, contiguously and at most once a second. A range that does not join on yet
 * (another hub's projection before it is not confirmed) waits; the watch for holes repairs one that stays.
 */
export class ProjectedMarks {
  readonly #options: Options;
  readonly #ranges = new Map<string, Range[]>();
  readonly #timer: NodeJS.Timeout;
  #raising: Promise<void> | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#timer = setInterval(() => this.#start(), options.bounds.raiseProjectedMs);
  }

  /** Changes `from` to `to` of the project are in the documents. */
  add(projectId: string, from: number, to: number): void {
    const ranges = this.#ranges.get(projectId);
    if (ranges === undefined) {
      this.#ranges.set(projectId, [{ from, to }]);
      return;
    }
    const before = ranges.find((range) => range.to + 1 === from);
    if (before === undefined) ranges.push({ from, to });
    else before.to = to;
  }

  /** How many ranges of a project wait to be joined on: more than one for long means a hole. */
  forget(projectId: string): void {
    this.#ranges.delete(projectId);
  }

  /** Stops the timer and raises what is known, once. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#raising;
    await this.#raise();
  }

  #start(): void {
    this.#raising ??= this.#raise().finally(() => {
      this.#raising = undefined;
    });
  }

  async #raise(): Promise<void> {
    const wanted: { projectId: string; from: number; to: number }[] = [];
    for (const [projectId, ranges] of this.#ranges) {
      ranges.sort((a, b) => a.from - b.from);
      const first = ranges[0];
      if (first !== undefined) wanted.push({ projectId, ...first });
    }
    if (wanted.length === 0) return;
    try {
      const marks = await this.#options.projections.raiseMarks(wanted);
      for (const [projectId, projected] of marks) this.#settle(projectId, projected);
    } catch (error) {
      this.#options.log.debug({ err: error }, "projected_seq not raised, will be repeated");
    }
  }

  #settle(projectId: string, projected: number): void {
    const left = (this.#ranges.get(projectId) ?? []).filter((range) => range.to > projected);
    if (left.length === 0) this.#ranges.delete(projectId);
    else this.#ranges.set(projectId, left);
  }
}
