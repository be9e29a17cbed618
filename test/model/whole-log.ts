import type { Entry } from "../../server/domain/records.ts";
import { MemoryChangeLog } from "../../server/memory/change-log.ts";

/** The log, and beside it what was trimmed or redacted, for checks that want all of it. */
export class WholeLog extends MemoryChangeLog {
  readonly #trimmed = new Map<string, Entry[]>();
  /** As they were appended, of those that lost changes: by project and from_seq. */
  readonly #redacted = new Map<string, Entry>();

  override async deleteBefore(projectId: string, seq: number): Promise<void> {
    const trimmed = this.#trimmed.get(projectId) ?? [];
    this.#trimmed.set(projectId, trimmed);
    // What was appended where an entry had been is no part of the log.
    const end = trimmed.at(-1)?.to_seq ?? 0;
    trimmed.push(...this.entries(projectId).filter(({ from_seq }) => from_seq > end && from_seq < seq));
    await super.deleteBefore(projectId, seq);
  }

  override async redact(projectId: string, sessionIds: readonly string[], seq: number): Promise<number> {
    const before = this.entries(projectId);
    const redacted = await super.redact(projectId, sessionIds, seq);
    const left = new Set(this.entries(projectId));
    for (const entry of before) {
      const key = keyOf(entry);
      if (!left.has(entry) && !this.#redacted.has(key)) this.#redacted.set(key, entry);
    }
    return redacted;
  }

  /** Every entry that there ever was, as it was appended. */
  whole(projectId: string): readonly Entry[] {
    const trimmed = this.#trimmed.get(projectId) ?? [];
    const end = trimmed.at(-1)?.to_seq ?? 0;
    const all = [...trimmed, ...this.entries(projectId).filter(({ from_seq }) => from_seq > end)];
    return all.map((entry) => this.#redacted.get(keyOf(entry)) ?? entry);
  }
}

function keyOf({ project_id, from_seq }: Entry): string {
  return `${project_id}/${from_seq}`;
}
