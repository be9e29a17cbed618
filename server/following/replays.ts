import type { BOUNDS } from "../bounds.ts";
import type { Entry } from "../domain/records.ts";
import type { ChangeLog } from "../ports.ts";
import type { Project } from "../writer/project.ts";

interface Options {
  readonly changeLog: ChangeLog;
  readonly bounds: Pick<typeof BOUNDS, "entriesPerRead" | "replayMarginChanges">;
}

/**
 * The changes after a position, from the entries in memory or, once for all who come back to a project at about the
 * same position, from the log: what is read is put before those in memory. One read of a project at a time.
 */
export class Replays {
  readonly #options: Options;
  readonly #reading = new Map<Project, Promise<unknown>>();

  constructor(options: Options) {
    this.#options = options;
  }

  /**
   * Entries that hold the changes after `seq` up to a head that the project has had since, or undefined when the log no
   * longer has them all. Rejects when MongoDB does not answer.
   */
  async after(project: Project, seq: number): Promise<readonly Entry[] | undefined> {
    for (;;) {
      const entries = project.recent.after(seq, project.head.seq);
      if (entries !== undefined) return entries;
      const running = this.#reading.get(project);
      if (running === undefined) return this.#read(project, seq);
      await running.catch(() => {});
    }
  }

  #read(project: Project, seq: number): Promise<readonly Entry[] | undefined> {
    const reading = this.#readAndKeep(project, seq).finally(() => this.#reading.delete(project));
    this.#reading.set(project, reading);
    return reading;
  }

  async #readAndKeep(project: Project, seq: number): Promise<readonly Entry[] | undefined> {
    const { head } = project;
    // Those who come next stood a little before this one, perhaps.
    const early = Math.max(0, seq - this.#options.bounds.replayMarginChanges);
    const entries =
      (await this.#entries(project.id, early, head.seq)) ?? (await this.#entries(project.id, seq, head.seq));
    if (entries !== undefined) project.remember(head, entries);
    return entries?.filter(({ to_seq }) => to_seq > seq);
  }

  /** Entries that hold the changes after `seq` up to `to`. */
  async #entries(projectId: string, seq: number, to: number): Promise<Entry[] | undefined> {
    const { changeLog, bounds } = this.#options;
    const first = await changeLog.readHolding(projectId, seq + 1);
    if (first === undefined) return undefined;
    const entries = [first];
    for (let last = first; last.to_seq < to; ) {
      const page = await changeLog.readAfter(projectId, last.from_seq, bounds.entriesPerRead);
      for (const entry of page) {
        if (entry.from_seq !== last.to_seq + 1) return undefined;
        if (entry.from_seq > to) return entries;
        entries.push(entry);
        last = entry;
      }
      if (page.length === 0) return undefined;
    }
    return entries;
  }
}
