import type { BOUNDS } from "../bounds.ts";
import { foldEntry } from "../domain/fold.ts";
import { type Entry, Family, type FamilyDraft } from "../domain/records.ts";
import type { ChangeLog, Clock, Logger, Projections } from "../ports.ts";
import { Project } from "./project.ts";

interface Options {
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

/** Hears of every entry, in order per project, the moment the head has moved over it. */
export type EntryListener = (project: Project, entry: Entry) => void;

/** The projects this hub knows: loading them, keeping their heads up, and forgetting the idle ones. */
export class Projects {
  readonly #options: Options;
  readonly #projects = new Map<string, Project>();
  readonly #beginning = new Map<string, Promise<Project>>();
  readonly #catchingUp = new Map<string, Promise<void>>();
  readonly #listeners: EntryListener[] = [];
  #families = 0;

  constructor(options: Options) {
    this.#options = options;
  }

  onEntry(listener: EntryListener): void {
    this.#listeners.push(listener);
  }

  /** The project if its head is known already. */
  known(projectId: string): Project | undefined {
    return this.#projects.get(projectId);
  }

  all(): IterableIterator<Project> {
    return this.#projects.values();
  }

  /** The project with its head read from the log. Rejects when MongoDB does not answer. */
  async get(projectId: string): Promise<Project> {
    const known = this.#projects.get(projectId);
    if (known !== undefined) {
      known.usedAt = this.#options.clock.monotonic();
      return known;
    }
    let beginning = this.#beginning.get(projectId);
    if (beginning === undefined) {
      beginning = this.#begin(projectId).finally(() => this.#beginning.delete(projectId));
      this.#beginning.set(projectId, beginning);
    }
    return beginning;
  }

  async #begin(projectId: string): Promise<Project> {
    const { changeLog, clock, bounds } = this.#options;
    const project = new Project(projectId, bounds);
    const head = await changeLog.readHead(projectId);
    if (head !== undefined) project.begin(head);
    project.headConfirmedAt = clock.monotonic();
    project.usedAt = project.headConfirmedAt;
    this.#projects.set(projectId, project);
    return project;
  }

  /** Moves the head over an entry and tells the listeners. */
  apply(project: Project, entry: Entry, bytes: number, drafts?: ReadonlyMap<string, FamilyDraft>): void {
    const before = project.familyCount;
    project.apply(entry, bytes, drafts);
    this.#families += project.familyCount - before;
    for (const listener of this.#listeners) {
      try {
        listener(project, entry);
      } catch (error) {
        // A listener's bug must not stop the head: what it missed, positions and snapshots repair.
        this.#options.log.error({ err: error, project_id: project.id }, "a listener failed on an entry");
      }
    }
    this.#evict();
  }

  /** Reads the log after the head and applies what is there. Single-flight per project; rejects when MongoDB is away. */
  catchUp(project: Project): Promise<void> {
    let running = this.#catchingUp.get(project.id);
    if (running === undefined) {
      running = this.#catchUp(project).finally(() => this.#catchingUp.delete(project.id));
      this.#catchingUp.set(project.id, running);
    }
    return running;
  }

  async #catchUp(project: Project): Promise<void> {
    const { changeLog, clock, bounds, log } = this.#options;
    for (;;) {
      const entries = await changeLog.readAfter(project.id, project.head.seq, bounds.entriesPerRead);
      const first = entries.find((entry) => entry.from_seq > project.head.seq);
      if (first !== undefined && first.from_seq !== project.head.seq + 1) {
        // Trimmed below us, or the project was removed and begun anew: nothing that is held can be continued.
        log.warn({ project_id: project.id, head: project.head.seq, next: first.from_seq }, "log continues elsewhere");
        this.drop(project);
        throw new Error(
          `the log of project ${project.id} continues at ${first.from_seq}, not after ${project.head.seq}`,
        );
      }
      for (const entry of entries) {
        // An own append may have been answered meanwhile and moved the head already.
        if (entry.from_seq === project.head.seq + 1) this.apply(project, entry, approximateBytes(entry));
      }
      project.headConfirmedAt = clock.monotonic();
      if (entries.length < bounds.entriesPerRead) return;
    }
  }

  /**
   * Brings families into the project's cache as of its head: first the mark, then the documents, then the log after
   * the mark folded in, and at last what was applied here while reading. Rejects when MongoDB does not answer.
   */
  async load(project: Project, sessionIds: readonly string[]): Promise<void> {
    const { changeLog, projections } = this.#options;
    for (const sessionId of sessionIds) project.loading.set(sessionId, []);
    try {
      const mark = await projections.readMark(project.id);
      const families = await projections.readFamilies(project.id, sessionIds);
      const entries = await changeLog.readAfterOfSessions(project.id, mark?.projectedSeq ?? 0, sessionIds);
      const before = project.familyCount;
      for (const sessionId of sessionIds) {
        const family = families.get(sessionId) ?? new Family();
        for (const entry of entries) foldEntry(family, sessionId, entry);
        for (const entry of project.loading.get(sessionId) ?? []) foldEntry(family, sessionId, entry);
        project.hold(sessionId, family);
      }
      this.#families += project.familyCount - before;
    } finally {
      for (const sessionId of sessionIds) project.loading.delete(sessionId);
    }
  }

  /** Forgets a project; the next use reads it from the log again. */
  drop(project: Project): void {
    if (this.#projects.get(project.id) !== project) return;
    this.#projects.delete(project.id);
    this.#families -= project.familyCount;
    project.forget();
  }

  /** Forgets projects that nobody has used for a while. */
  dropIdle(): void {
    const { clock, bounds } = this.#options;
    const before = clock.monotonic() - bounds.idleProjectMs;
    for (const project of this.#projects.values()) {
      const idle = project.followers === 0 && project.queue.length === 0 && !project.appending;
      if (idle && project.usedAt < before) this.drop(project);
    }
  }

  #evict(): void {
    const { bounds } = this.#options;
    if (this.#families <= bounds.cachedFamilies) return;
    for (const project of this.#projects.values()) {
      const before = project.familyCount;
      project.evictTo(Math.floor(before * 0.9));
      this.#families -= before - project.familyCount;
      if (this.#families <= bounds.cachedFamilies) return;
    }
  }
}

/** Rough size of an entry that was read, for the bound of the recent ones. */
function approximateBytes(entry: Entry): number {
  return entry.changes.reduce((bytes, change) => bytes + 200 + (change.state === undefined ? 200 : 1_000), 100);
}
