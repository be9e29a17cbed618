import type { Entry, Head, Removal } from "../domain/records.ts";
import { newestRemovals } from "../domain/removals.ts";
import type { AppendOutcome, ChangeLog, EntrySpan } from "../ports.ts";
import { frozenCopy } from "./frozen-copy.ts";

/** The log in memory: for unit tests and simulation. What it gives out is frozen, as an entry never changes. */
export class MemoryChangeLog implements ChangeLog {
  readonly #logs = new Map<string, Entry[]>();

  async append(entries: readonly Entry[]): Promise<readonly AppendOutcome[]> {
    return entries.map((entry) => this.#append(entry));
  }

  #append(entry: Entry): AppendOutcome {
    const log = this.#logs.get(entry.project_id) ?? [];
    if (log.some(({ from_seq }) => from_seq === entry.from_seq)) return "taken";
    log.push(frozenCopy(entry));
    log.sort((a, b) => a.from_seq - b.from_seq);
    this.#logs.set(entry.project_id, log);
    return "committed";
  }

  async readHead(projectId: string): Promise<Head | undefined> {
    const last = this.entries(projectId).at(-1);
    return last === undefined ? undefined : { epoch: last.epoch, seq: last.to_seq, at: last.at };
  }

  async readAfter(projectId: string, seq: number, limit: number): Promise<Entry[]> {
    return this.#after(projectId, seq).slice(0, limit);
  }

  async readHolding(projectId: string, seq: number): Promise<Entry | undefined> {
    return this.entries(projectId).findLast((entry) => entry.from_seq <= seq && entry.to_seq >= seq);
  }

  async readSpan(projectId: string, seq: number): Promise<EntrySpan | undefined> {
    const holding = await this.readHolding(projectId, seq);
    return holding && { from_seq: holding.from_seq, to_seq: holding.to_seq, at: holding.at };
  }

  async *readRange(projectId: string, after: number, to: number): AsyncIterable<readonly Entry[]> {
    const entries = this.#after(projectId, after).filter(({ from_seq }) => from_seq <= to);
    if (entries.length > 0) yield entries;
  }

  async readAfterOfSessions(projectId: string, seq: number, sessionIds: readonly string[]): Promise<Entry[]> {
    const wanted = new Set(sessionIds);
    const touches = ({ changes }: Entry) => changes.some((change) => wanted.has(change.session_id));
    return this.#after(projectId, seq).filter((entry) => entry.from_seq === seq + 1 || touches(entry));
  }

  async deleteBefore(projectId: string, seq: number): Promise<void> {
    this.remove(projectId, ({ from_seq }) => from_seq >= seq);
  }

  async readRemovals(projectId: string, sessionIds: readonly string[]): Promise<Removal[]> {
    return newestRemovals(this.entries(projectId), sessionIds);
  }

  async redact(projectId: string, sessionIds: readonly string[], seq: number): Promise<number> {
    let redacted = 0;
    const log = this.entries(projectId).map((entry) => {
      const changes = entry.changes.filter(
        ({ session_id, type }) => !sessionIds.includes(session_id) || type === "removed",
      );
      if (entry.from_seq >= seq || changes.length === entry.changes.length) return entry;
      redacted += 1;
      return frozenCopy({ ...entry, changes });
    });
    if (redacted > 0) this.#logs.set(projectId, log);
    return redacted;
  }

  async findAhead(heads: readonly { readonly projectId: string; readonly seq: number }[]): Promise<string[]> {
    return heads.filter(({ projectId, seq }) => this.#after(projectId, seq).length > 0).map((head) => head.projectId);
  }

  async *projectIds(): AsyncIterable<string> {
    yield* [...this.#logs.keys()].sort();
  }

  /** The whole log of a project, oldest first. */
  entries(projectId: string): readonly Entry[] {
    return this.#logs.get(projectId) ?? [];
  }

  /** Takes entries away, as trimming (`keep` the younger ones) or removal of a project does. */
  remove(projectId: string, keep: (entry: Entry) => boolean): void {
    const left = this.entries(projectId).filter(keep);
    if (left.length === 0) this.#logs.delete(projectId);
    else this.#logs.set(projectId, left);
  }

  #after(projectId: string, seq: number): Entry[] {
    return this.entries(projectId).filter((entry) => entry.from_seq > seq);
  }
}
