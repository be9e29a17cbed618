import { foldEntry } from "../domain/fold.ts";
import type { Family } from "../domain/records.ts";
import type { ChangeLog, Projections } from "../ports.ts";
import type { Project } from "../writer/project.ts";
import type { Projects } from "../writer/projects.ts";
import { readFamilies } from "../writer/read-families.ts";

interface Options {
  readonly projects: Projects;
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
}

/** Families that were read beside the project's cache, to be moved to the head in the turn in which they are used. */
export class LoadedFamilies {
  readonly #project: Project;
  readonly #families: ReadonlyMap<string, Family>;
  /** Up to here the families hold everything. */
  #seq: number;
  readonly #epoch: string;

  constructor(project: Project, families: ReadonlyMap<string, Family>, seq: number) {
    this.#project = project;
    this.#families = families;
    this.#seq = seq;
    this.#epoch = project.head.epoch;
  }

  /** Folds in what was applied here since; false when that is no longer at hand. */
  moveToHead(): boolean {
    const { head, recent } = this.#project;
    const entries = head.epoch === this.#epoch ? recent.after(this.#seq, head.seq) : undefined;
    if (entries === undefined) return false;
    for (const entry of entries) {
      const sessions = new Set(entry.changes.map((change) => change.session_id));
      for (const sessionId of sessions) {
        const family = this.#families.get(sessionId);
        if (family !== undefined) foldEntry(family, sessionId, entry);
      }
    }
    this.#seq = head.seq;
    return true;
  }

  has(sessionId: string): boolean {
    return this.#families.has(sessionId);
  }

  get(sessionId: string): Family | undefined {
    return this.#families.get(sessionId);
  }
}

/**
 * Reads sessions and their tasks as of the project's head or later entries of this hub. Beside the cache of the writer,
 * which is for what agents of this hub change. Rejects when MongoDB
 * does not answer.
 */
export async function loadFamilies(
  project: Project,
  sessionIds: readonly string[],
  { projects, ...ports }: Options,
): Promise<LoadedFamilies> {
  const { seq } = project.head;
  const families = await readFamilies(project, sessionIds, ports);
  // Another hub's commit may be in here that the head has not moved over yet: no state may be newer than its frame.
  await projects.catchUp(project);
  return new LoadedFamilies(project, families, seq);
}
