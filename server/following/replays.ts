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
    const found = await this.#entriesAfter(project.id, early, head.seq);
    const entries =
      (found[0]?.from_seq ?? head.seq + 1) <= seq + 1 ? found : await this.#withFirst(project.id, seq, found);
    if (!isWhole(entries, seq, head.seq)) return undefined;
    project.remember(head, entries);
    return entries.filter(({ to_seq }) => to_seq > seq);
  }

  /** Entries that begin after `seq` and not after `to`. */
  async #entriesAfter(projectId: string, seq: number, to: number): Promise<readonly Entry[]> {
    const { changeLog, bounds } = this.#options;
    const entries: Entry[] = [];
    for (;;) {
      const page = await changeLog.readAfter(projectId, entries.at(-1)?.from_seq ?? seq, bounds.entriesPerRead);
      entries.push(...page.filter(({ from_seq }) => from_seq <= to));
      if (page.length < bounds.entriesPerRead || (page.at(-1)?.to_seq ?? to) >= to) return entries;
    }
  }

  /** With the entry before them, a long one in the midst of which the viewer stands. */
  async #withFirst(projectId: string, seq: number, entries: readonly Entry[]): Promise<readonly Entry[]> {
    const first = await this.#options.changeLog.readHolding(projectId, seq + 1);
    return first === undefined ? entries : [first, ...entries.filter(({ from_seq }) => from_seq > first.to_seq)];
  }
}

/** Without a hole, and all that there is after `seq` up to `to`: the log may have been trimmed. */
function isWhole(entries: readonly Entry[], seq: number, to: number): boolean {
  const first = entries[0];
  const last = entries.at(-1);
  if (first === undefined || last === undefined || first.from_seq > seq + 1 || last.to_seq < to) return false;
  return entries.every((entry, index) => index === 0 || entry.from_seq === (entries[index - 1]?.to_seq ?? 0) + 1);
}
