import type { Entry } from "../../server/domain/records.ts";
import { MemoryChangeLog } from "../../server/memory/change-log.ts";

/** The log, and beside it what was trimmed, for checks that want all of it. */
export class WholeLog extends MemoryChangeLog {
  readonly #trimmed = new Map<string, Entry[]>();

  override async deleteBefore(projectId: string, seq: number): Promise<void> {
    const trimmed = this.#trimmed.get(projectId) ?? [];
    this.#trimmed.set(projectId, trimmed);
    // What was appended where an entry had been is no part of the log.
    const end = trimmed.at(-1)?.to_seq ?? 0;
    trimmed.push(...this.entries(projectId).filter(({ from_seq }) => from_seq > end && from_seq < seq));
    await super.deleteBefore(projectId, seq);
  }

  /** Every entry that there ever was. */
  whole(projectId: string): readonly Entry[] {
    const trimmed = this.#trimmed.get(projectId) ?? [];
    const end = trimmed.at(-1)?.to_seq ?? 0;
    return [...trimmed, ...this.entries(projectId).filter(({ from_seq }) => from_seq > end)];
  }
}
