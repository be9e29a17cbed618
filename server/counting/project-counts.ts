import type { BOUNDS } from "../bounds.ts";
import type { Entry } from "../domain/records.ts";
import { addCounts, countsMoved } from "../domain/standing.ts";
import type { ChangeLog, CountStore, Logger, ProjectCount, Projections } from "../ports.ts";
import type { Project } from "../writer/project.ts";
import type { Projects } from "../writer/projects.ts";
import { recount } from "./recount.ts";

interface Options {
  readonly store: CountStore;
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
  readonly projects: Pick<Projects, "known">;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

/** What a check found at one seq: the counts as they are kept, and as they are when every session is looked at. */
export interface CountCheck {
  readonly kept: ProjectCount;
  /** What was written down, moved over the log; absent where the log does not lead on from it. */
  readonly written?: ProjectCount;
  readonly recounted: ProjectCount;
}

/**
 * How many sessions of a project stand where. The counts at a seq follow from the log up to it alone, so it does not
 * matter who counts, or twice: a hub moves those it holds over each entry that it applies, and writes down from time to
 * time where it is. What is written down is a place to go on from, on any hub, after any crash; only where the log does not
 * lead on from it (trimmed meanwhile, or written by a release that did not say where sessions stood) all sessions are looked at.
 */
export class ProjectCounts {
  readonly #options: Options;
  /** The least recently used first. */
  readonly #held = new Map<string, ProjectCount>();
  /** Projects that have moved since their counts were written down. */
  readonly #moved = new Set<string>();
  readonly #loading = new Map<Project, Promise<ProjectCount | undefined>>();
  readonly #timer: NodeJS.Timeout;
  #saving: Promise<void> | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#timer = setInterval(() => this.#startSaving(), options.bounds.countsSaveMs);
  }

  /** Every entry that the hub applies, in order per project. */
  onEntry(project: Project, entry: Entry): void {
    this.#moved.add(project.id);
    const held = this.#held.get(project.id);
    if (held === undefined || entry.to_seq <= held.seq) return;
    const next = after(held, entry);
    if (next === undefined) this.#held.delete(project.id);
    else this.#held.set(project.id, next);
  }

  /** The counts at the project's head or later; undefined when nobody can tell just now. Rejects when MongoDB is away. */
  of(project: Project): Promise<ProjectCount | undefined> {
    const held = this.#held.get(project.id);
    const { epoch, seq } = project.head;
    if (held !== undefined && held.epoch === epoch && held.seq >= seq) return Promise.resolve(held);
    let loading = this.#loading.get(project);
    if (loading === undefined) {
      loading = this.#load(project, held).finally(() => this.#loading.delete(project));
      this.#loading.set(project, loading);
    }
    return loading;
  }

  /** Looks at every session and compares; undefined when `goOn` says no, or the project moves too fast to tell. */
  async check(project: Project, goOn?: () => Promise<boolean>): Promise<CountCheck | undefined> {
    const held = await this.of(project);
    const stored = await this.#readWritten(project);
    const fresh = await recount(project.id, this.#options, goOn);
    let counts = [held, fresh, stored];
    // What the second round has to move over is in memory: all of them end in one turn, at one head.
    for (let round = 0; round < 2; round++) {
      counts = await Promise.all(counts.map((count) => count && this.#follow(count, project)));
    }
    const [kept, recounted, written] = counts;
    if (kept === undefined || recounted === undefined || kept.seq !== recounted.seq) return undefined;
    return { kept, recounted, ...(written?.seq === kept.seq ? { written } : {}) };
  }

  /** Writes down what has moved, once. */
  async save(): Promise<void> {
    await this.#saving;
    this.#startSaving();
    await this.#saving;
  }

  /** Stops the timer and writes down what has moved. */
  stop(): Promise<void> {
    clearInterval(this.#timer);
    return this.save();
  }

  async #load(project: Project, held: ProjectCount | undefined): Promise<ProjectCount | undefined> {
    const { store, bounds } = this.#options;
    const { epoch, seq } = project.head;
    const isOfEpoch = (count: ProjectCount | undefined) => count?.epoch === epoch;
    const base = isOfEpoch(held) ? held : (await store.read([project.id])).get(project.id);
    const start = base !== undefined && isOfEpoch(base) ? base : { epoch, seq: 0, counts: new Map() };
    const isNear = seq - start.seq <= bounds.countedFromLog;
    let count = isNear ? await this.#follow(start, project) : undefined;
    if (count === undefined) {
      const fresh = await recount(project.id, this.#options);
      count = fresh === undefined ? undefined : await this.#follow(fresh, project);
    }
    if (count !== undefined) this.#hold(project, count);
    return count;
  }

  /** What may be gone on from. */
  async #readWritten(project: Project): Promise<ProjectCount | undefined> {
    const { store, bounds } = this.#options;
    const { epoch, seq } = project.head;
    const written = (await store.read([project.id])).get(project.id);
    return written?.epoch === epoch && seq - written.seq <= bounds.countedFromLog ? written : undefined;
  }

  /** Moves counts over the log to the project's head, in the same turn in which the head was looked at. */
  async #follow(from: ProjectCount, project: Project): Promise<ProjectCount | undefined> {
    const { changeLog, bounds } = this.#options;
    let count = from;
    while (count.seq < project.head.seq) {
      const entries =
        project.recent.after(count.seq, project.head.seq) ??
        (await changeLog.readAfter(project.id, count.seq, bounds.entriesPerRead));
      if (entries.length === 0) return undefined;
      for (const entry of entries) {
        const next = after(count, entry);
        if (next === undefined) return undefined;
        count = next;
      }
    }
    return count;
  }

  #hold(project: Project, count: ProjectCount): void {
    this.#held.delete(project.id);
    this.#held.set(project.id, count);
    for (const projectId of this.#held.keys()) {
      if (this.#held.size <= this.#options.bounds.countedProjects) return;
      this.#held.delete(projectId);
    }
  }

  #startSaving(): void {
    this.#saving ??= this.#save().finally(() => {
      this.#saving = undefined;
    });
  }

  async #save(): Promise<void> {
    const { projects, store, log, bounds } = this.#options;
    const moved = [...this.#moved];
    try {
      for (let start = 0; start < moved.length; start += bounds.countsPerSave) {
        const some = moved.slice(start, start + bounds.countsPerSave);
        const counts = new Map<string, ProjectCount>();
        for (const projectId of some) {
          const project = projects.known(projectId);
          const count = project === undefined ? undefined : await this.of(project);
          if (count !== undefined) counts.set(projectId, count);
        }
        await store.write(counts);
        for (const projectId of some)
          if (this.#held.get(projectId) === counts.get(projectId)) this.#moved.delete(projectId);
      }
    } catch (error) {
      log.debug({ err: error, projects: moved.length }, "counts not written down, will be tried again");
    }
  }
}

/** The counts after an entry that follows them; undefined when the entry does not, or does not say enough. */
function after({ epoch, seq, counts }: ProjectCount, entry: Entry): ProjectCount | undefined {
  if (entry.from_seq !== seq + 1 || (seq > 0 && entry.epoch !== epoch)) return undefined;
  const moved = countsMoved(entry);
  return moved === undefined ? undefined : { epoch: entry.epoch, seq: entry.to_seq, counts: addCounts(counts, moved) };
}
