import type { BOUNDS } from "../bounds.ts";
import type { Entry, Head } from "../domain/records.ts";
import type { Logger } from "../ports.ts";
import type { Project } from "../writer/project.ts";
import type { Projects } from "../writer/projects.ts";

interface Options {
  readonly projects: Pick<Projects, "known" | "apply" | "catchUp">;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

/** What an entry that came from another hub is worth. */
type Arrival =
  /** It follows the head. */
  | "next"
  /** Everything in it has been applied. */
  | "old"
  /** Of the same log, but something between it and the head is missing. */
  | "ahead"
  /** Of another life of the log, or across the head: only the log itself can tell. */
  | "elsewhere";

export function judgeArrival(head: Head, { epoch, from_seq, to_seq }: Entry): Arrival {
  if (from_seq === head.seq + 1 && (head.seq === 0 || epoch === head.epoch)) return "next";
  if (head.seq > 0 && epoch !== head.epoch) return "elsewhere";
  if (to_seq <= head.seq) return "old";
  return from_seq > head.seq ? "ahead" : "elsewhere";
}

interface Held {
  readonly entry: Entry;
  readonly bytes: number;
}

/** Something is missing before what is held. */
interface Gap {
  readonly held: Map<number, Held>;
  /** The log has to be read, also when all that is held can be applied. */
  mustRead: boolean;
  /** The wait for what is missing; undefined while the log is read. */
  wait: NodeJS.Timeout | undefined;
}

/**
 * Entries of other hubs, put in order: one counts only if it continues the head, everything else is a hint. What is
 * missing gets a moment to arrive by itself, then the log is read. Nothing is read for projects that nobody follows
 * here, and those that are not known are ignored.
 */
export class Arrivals {
  readonly #options: Options;
  readonly #gaps = new Map<Project, Gap>();
  readonly #reading = new Set<Promise<void>>();
  #heldBytes = 0;
  #isStopped = false;

  constructor(options: Options) {
    this.#options = options;
  }

  onEntry(entry: Entry, bytes: number): void {
    const project = this.#options.projects.known(entry.project_id);
    if (this.#isStopped || project === undefined) return;
    const arrival = judgeArrival(project.head, entry);
    // Also where nobody follows yet: somebody may be about to, and was told the head that this continues.
    if (arrival === "next") this.#options.projects.apply(project, entry, bytes);
    else if (project.followers === 0) return;
    else if (arrival === "ahead") this.#hold(this.#gapOf(project), { entry, bytes });
    else if (arrival === "elsewhere") this.#gapOf(project).mustRead = true;
  }

  /** The head has moved, by whatever way: what waited for that follows, after everybody has heard of this entry. */
  onApplied(project: Project): void {
    if (this.#gaps.has(project)) queueMicrotask(() => this.#follow(project));
  }

  /** Resolves when no read is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const [project, gap] of this.#gaps) this.#close(project, gap);
    await Promise.all(this.#reading);
  }

  #follow(project: Project): void {
    const gap = this.#gaps.get(project);
    if (gap === undefined) return;
    this.#applyHeld(project, gap);
    const isFilled = gap.held.size === 0 && !gap.mustRead && gap.wait !== undefined;
    if (isFilled) this.#close(project, gap);
  }

  #hold(gap: Gap, held: Held): void {
    const { from_seq } = held.entry;
    if (gap.held.has(from_seq)) return;
    if (this.#heldBytes + held.bytes > this.#options.bounds.gapBytes) {
      gap.mustRead = true;
      return;
    }
    gap.held.set(from_seq, held);
    this.#heldBytes += held.bytes;
  }

  #gapOf(project: Project): Gap {
    const known = this.#gaps.get(project);
    if (known !== undefined) return known;
    const gap: Gap = { held: new Map(), mustRead: false, wait: undefined };
    this.#gaps.set(project, gap);
    this.#wait(project, gap);
    return gap;
  }

  #wait(project: Project, gap: Gap): void {
    gap.wait = setTimeout(() => {
      gap.wait = undefined;
      const reading = this.#read(project, gap).finally(() => this.#reading.delete(reading));
      this.#reading.add(reading);
    }, this.#options.bounds.gapWaitMs);
  }

  async #read(project: Project, gap: Gap): Promise<void> {
    const { projects, log } = this.#options;
    const before = [...gap.held.values()];
    gap.mustRead = false;
    try {
      await projects.catchUp(project);
    } catch (error) {
      log.debug({ err: error, project_id: project.id }, "a gap was not filled; the next comparison of heads will");
      this.#close(project, gap);
      return;
    }
    this.#applyHeld(project, gap);
    // Published means committed, so the log has led to these by now. If not, the log is right.
    for (const held of before) this.#release(gap, held);
    // What came during the read may still lack what the read was too early for.
    if (this.#isStopped || projects.known(project.id) !== project) this.#close(project, gap);
    else if (gap.held.size > 0 || gap.mustRead) this.#wait(project, gap);
    else this.#close(project, gap);
  }

  #applyHeld(project: Project, gap: Gap): void {
    if (this.#isStopped) return;
    const { projects } = this.#options;
    const next = () => gap.held.get(project.head.seq + 1);
    for (let held = next(); held !== undefined; held = next()) {
      this.#release(gap, held);
      if (judgeArrival(project.head, held.entry) === "next") projects.apply(project, held.entry, held.bytes);
    }
    for (const held of gap.held.values()) {
      if (judgeArrival(project.head, held.entry) !== "ahead") this.#release(gap, held);
    }
  }

  #release(gap: Gap, { entry, bytes }: Held): void {
    if (gap.held.delete(entry.from_seq)) this.#heldBytes -= bytes;
  }

  #close(project: Project, gap: Gap): void {
    clearTimeout(gap.wait);
    for (const held of gap.held.values()) this.#release(gap, held);
    if (this.#gaps.get(project) === gap) this.#gaps.delete(project);
  }
}
