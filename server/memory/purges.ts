import type { PurgeRecord, PurgeStore } from "../ports.ts";
import { frozenCopy } from "./frozen-copy.ts";

/** Purges in memory: for unit tests and simulation. */
export class MemoryPurges implements PurgeStore {
  readonly #records = new Map<string, PurgeRecord>();

  async put(record: PurgeRecord): Promise<void> {
    this.#records.set(record.id, frozenCopy(record));
  }

  async find(id: string): Promise<PurgeRecord | undefined> {
    return this.#records.get(id);
  }

  async readOpen(movedBefore: string, limit: number): Promise<PurgeRecord[]> {
    return [...this.#records.values()]
      .filter(({ finished_at, moved_at }) => finished_at === undefined && moved_at < movedBefore)
      .slice(0, limit);
  }

  async drop(id: string): Promise<void> {
    this.#records.delete(id);
  }

  async forgetFinished(before: string): Promise<void> {
    for (const { id, finished_at } of this.#records.values()) {
      if (finished_at !== undefined && finished_at < before) this.#records.delete(id);
    }
  }
}
