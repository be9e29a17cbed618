import type { BOUNDS } from "../bounds.ts";
import { foldEntry } from "../domain/fold.ts";
import { EMPTY_HEAD, type Entry, Family, type FamilyDraft } from "../domain/records.ts";
import type { ChangeLog, Clock, Logger, Projections } from "../ports.ts";
import { SharedReads } from "../shared-reads.ts";
import { approximateBytes, Project } from "./project.ts";
import { readFamilies } from "./read-families.ts";

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
  readonly #catchingUp = new SharedReads<Project, void>();
  readonly #listeners: EntryListener[] = [];
  readonly #anewListeners: ((project: Project) => void)[] = [];
  #families = 0;

  constructor(options: Options) {
    this.#options = options;
  }

  onEntry(listener: EntryListener): void {
    this.#listeners.push(listener);
  }

  /** Hears of a project whose log continues elsewhere than where it was followed to. */
  onAnew(listener: (project: Project) => void): void {
    this.#anewListeners.push(listener);
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
    project.begin(head ?? EMPTY_HEAD);
    project.confirmHead(clock);
    project.usedAt = clock.monotonic();
    this.#projects.set(projectId, project);
    return project;
  }

  /** Moves the head over an entry and tells the listeners. */
  apply(project: Project, entry: Entry, bytes: number, drafts?: ReadonlyMap<string, FamilyDraft>): void {
    const before = project.familyCount;
    project.apply(entry, bytes, drafts);
    project.turns.pass(entry.hub_id, this.#options.clock.monotonic());
    this.#families += project.familyCount - before;
    for (const listener of this.#listeners) this.#tell(project, () => listener(project, entry));
    this.#evict(project, 0);
  }

  /**
   * Reads the log after the head and applies what is there: at least all that was committed before this call. One read
   * at a time per project; those who call during one share the next. Rejects when MongoDB is away.
   */
  catchUp(project: Project): Promise<void> {
    return this.#catchingUp.read(project, () => this.#catchUp(project));
  }

  async #catchUp(project: Project): Promise<void> {
    const { changeLog, clock, bounds } = this.#options;
    for (;;) {
      const entries = await changeLog.readAfter(project.id, project.head.seq, bounds.entriesPerRead);
      // An own append may have been answered meanwhile and moved the head already.
      for (const entry of entries.filter(({ from_seq }) => from_seq > project.head.seq)) {
        if (!project.isNext(entry)) return this.beginAnew(project);
        this.apply(project, entry, approximateBytes(entry));
      }
      project.confirmHead(clock);
      if (entries.length < bounds.entriesPerRead) return;
    }
  }

  /**
   * The log was trimmed beyond the head, or another life of it has begun: nothing that is held can be continued.
   */
  async beginAnew(project: Project): Promise<void> {
    const { changeLog, clock, log } = this.#options;
    const newHead = (await changeLog.readHead(project.id)) ?? EMPTY_HEAD;
    // A purge or a trim continues it further on. One that is shorter has lost entries, or was restored.
    const level = newHead.seq < project.head.seq ? "warn" : "info";
    log[level]({ project_id: project.id, head: project.head.seq, goes_on: newHead.seq }, "the log continues elsewhere");
    this.#families -= project.familyCount;
    project.begin(newHead);
    project.confirmHead(clock);
    for (const listener of this.#anewListeners) this.#tell(project, () => listener(project));
  }

  /** A listener's bug must not stop the head: what it missed, positions and snapshots repair. */
  #tell(project: Project, tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.#options.log.error({ err: error, project_id: project.id }, "a listener of a project failed");
    }
  }

  /**
   * Brings families into the project's cache as of its head: documents and log, and at last what was applied here while
   * reading. What is being loaded already must not be
   * asked for. Rejects when MongoDB does not answer.
   */
  async load(project: Project, sessionIds: readonly string[]): Promise<void> {
    const applied = new Map(sessionIds.map((sessionId) => [sessionId, [] as Entry[]]));
    for (const [sessionId, entries] of applied) project.loading.set(sessionId, entries);
    try {
      const families = await readFamilies(project, sessionIds, this.#options);
      // Another hub's commit may be in here that the head has not moved over yet: decisions lean on the head.
      if (newestSeq(families.values()) > project.head.seq) await this.catchUp(project);
      this.#hold(project, families, applied);
    } finally {
      for (const [sessionId, entries] of applied) {
        if (project.loading.get(sessionId) === entries) project.loading.delete(sessionId);
      }
    }
  }

  #hold(project: Project, families: ReadonlyMap<string, Family>, applied: ReadonlyMap<string, readonly Entry[]>): void {
    const before = project.familyCount;
    for (const [sessionId, entries] of applied) {
      // The project has begun anew meanwhile.
      if (project.loading.get(sessionId) !== entries) continue;
      const family = families.get(sessionId) ?? new Family();
      for (const entry of entries) foldEntry(family, sessionId, entry);
      project.hold(sessionId, family);
    }
    this.#families += project.familyCount - before;
    this.#evict(project, applied.size);
  }

  /** Forgets projects that nobody has used for a while. */
  dropIdle(): void {
    const { clock, bounds } = this.#options;
    const before = clock.monotonic() - bounds.idleProjectMs;
    for (const project of this.#projects.values()) {
      const isBusy = project.queue.length > 0 || project.appending || project.isProjecting || project.loading.size > 0;
      if (isBusy || project.followers > 0 || project.usedAt >= before) continue;
      this.#projects.delete(project.id);
      this.#families -= project.familyCount;
    }
  }

  /** Lets go of families until few enough are left; of `inUse`, its `needed` most recent ones stay. */
  #evict(inUse: Project, needed: number): void {
    const { bounds } = this.#options;
    for (const project of [...this.#projects.values()]) {
      if (this.#families <= bounds.cachedFamilies) return;
      const before = project.familyCount;
      project.evictTo(Math.max(Math.floor(before * 0.9), project === inUse ? needed : 0));
      this.#families -= before - project.familyCount;
      // The next time others come first.
      this.#projects.delete(project.id);
      this.#projects.set(project.id, project);
    }
  }
}

function newestSeq(families: Iterable<Family>): number {
  let newest = 0;
  for (const { session, tasks } of families) {
    newest = Math.max(newest, session?.appliedSeq ?? 0);
    for (const { appliedSeq } of tasks.values()) newest = Math.max(newest, appliedSeq);
  }
  return newest;
}
