import type { BOUNDS } from "../bounds.ts";
import type { Logger, Projections } from "../ports.ts";

interface Options {
  readonly projections: Projections;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

interface Range {
  readonly from: number;
  to: number;
}

/**
 * Raises each project's `projected_seq`, contiguously and at most once a second, and only over documents that a majority
 * has journaled: a mark that survives documents lost with their primary would hide the loss for ever. A range that does
 * not join on yet (another hub's projection before it is not confirmed) waits; the watch for holes repairs one that stays.
 */
export class ProjectedMarks {
  readonly #options: Options;
  /** Written, but the primary may still lose it. */
  #written = new Map<string, Range[]>();
  readonly #durable = new Map<string, Range[]>();
  readonly #timer: NodeJS.Timeout;
  #primary = 0;
  #raising: Promise<void> | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#timer = setInterval(() => this.#start(), options.bounds.raiseProjectedMs);
  }

  /** Changes `from` to `to` of the project are in the documents. */
  add(projectId: string, from: number, to: number): void {
    this.#add(this.#written, projectId, { from, to });
  }

  /** MongoDB has another primary, which may lack what was only written. */
  onPrimaryChange(): void {
    this.#primary += 1;
    this.#written.clear();
  }

  /** How many ranges of a project wait to be joined on: more than one for long means a hole. */
  waiting(projectId: string): number {
    return (this.#written.get(projectId)?.length ?? 0) + (this.#durable.get(projectId)?.length ?? 0);
  }

  /** Raises what is known, once. */
  async raise(): Promise<void> {
    await this.#raising;
    this.#start();
    await this.#raising;
  }

  /** Stops the timer and raises what is known. */
  stop(): Promise<void> {
    clearInterval(this.#timer);
    return this.raise();
  }

  #add(ranges: Map<string, Range[]>, projectId: string, { from, to }: Range): void {
    const ofProject = ranges.get(projectId) ?? [];
    ranges.set(projectId, ofProject);
    const before = ofProject.find((range) => range.to + 1 === from);
    if (before === undefined) ofProject.push({ from, to });
    else before.to = to;
    // Hubs that take turns leave each other one range per turn. The oldest may go: the watch for holes closes them.
    if (ofProject.length > this.#options.bounds.projectedRanges) ofProject.shift();
  }

  #start(): void {
    this.#raising ??= this.#round().finally(() => {
      this.#raising = undefined;
    });
  }

  async #round(): Promise<void> {
    try {
      await this.#settle();
      await this.#raise();
    } catch (error) {
      this.#options.log.debug({ err: error }, "projected_seq not raised, will be repeated");
    }
  }

  async #settle(): Promise<void> {
    if (this.#written.size === 0) return;
    const primary = this.#primary;
    const written = this.#written;
    this.#written = new Map();
    let isDurable = false;
    try {
      await this.#options.projections.settle();
      isDurable = true;
    } finally {
      const ranges = isDurable ? this.#durable : this.#written;
      for (const [projectId, ofProject] of primary === this.#primary ? written : []) {
        for (const range of ofProject) this.#add(ranges, projectId, range);
      }
    }
  }

  async #raise(): Promise<void> {
    const wanted: { projectId: string; from: number; to: number }[] = [];
    for (const [projectId, ranges] of this.#durable) {
      ranges.sort((a, b) => a.from - b.from);
      const first = ranges[0];
      if (first !== undefined) wanted.push({ projectId, ...first });
    }
    if (wanted.length === 0) return;
    const marks = await this.#options.projections.raiseMarks(wanted);
    for (const [projectId, projected] of marks) this.#drop(projectId, projected);
  }

  #drop(projectId: string, projected: number): void {
    const left = (this.#durable.get(projectId) ?? []).filter((range) => range.to > projected);
    if (left.length === 0) this.#durable.delete(projectId);
    else this.#durable.set(projectId, left);
  }
}
