import type { Entry } from "../domain/records.ts";

interface Bounds {
  readonly changes: number;
  readonly bytes: number;
}

/** The newest entries of a project, without a hole, to bridge a snapshot or replay to the live frames. */
export class RecentEntries {
  readonly #bounds: Bounds;
  #entries: { entry: Entry; bytes: number }[] = [];
  #changes = 0;
  #bytes = 0;

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  /** Adds what comes right before the oldest here, as much as fits. `head` is the newest seq. */
  prepend(entries: readonly Entry[], bytesOf: (entry: Entry) => number, head: number): void {
    let next = this.#entries[0]?.entry.from_seq ?? head + 1;
    const older: { entry: Entry; bytes: number }[] = [];
    for (const entry of entries.toReversed()) {
      if (entry.from_seq >= next) continue;
      const bytes = bytesOf(entry);
      const isTooMuch =
        this.#changes + entry.changes.length > this.#bounds.changes || this.#bytes + bytes > this.#bounds.bytes;
      if (entry.to_seq !== next - 1 || isTooMuch) break;
      older.push({ entry, bytes });
      this.#changes += entry.changes.length;
      this.#bytes += bytes;
      next = entry.from_seq;
    }
    this.#entries.unshift(...older.reverse());
  }

  push(entry: Entry, bytes: number): void {
    this.#entries.push({ entry, bytes });
    this.#changes += entry.changes.length;
    this.#bytes += bytes;
    let drop = 0;
    while (this.#changes > this.#bounds.changes || this.#bytes > this.#bounds.bytes) {
      const oldest = this.#entries[drop];
      if (oldest === undefined) break;
      this.#changes -= oldest.entry.changes.length;
      this.#bytes -= oldest.bytes;
      drop += 1;
    }
    if (drop > 0) this.#entries.splice(0, drop);
  }

  /** Entries that hold changes after `seq`, or undefined when the oldest of them is no longer here. `head` is the newest seq. */
  after(seq: number, head: number): readonly Entry[] | undefined {
    if (seq >= head) return [];
    const index = this.#entries.findIndex(({ entry }) => entry.to_seq > seq);
    const first = this.#entries[index];
    if (first === undefined || first.entry.from_seq > seq + 1) return undefined;
    return this.#entries.slice(index).map(({ entry }) => entry);
  }

  /** The entry that holds this seq, if it is still here. */
  holding(seq: number): Entry | undefined {
    return this.#entries.findLast(({ entry }) => entry.from_seq <= seq && entry.to_seq >= seq)?.entry;
  }

  clear(): void {
    this.#entries = [];
    this.#changes = 0;
    this.#bytes = 0;
  }
}
