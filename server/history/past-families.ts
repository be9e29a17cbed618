import { foldChange } from "../domain/fold.ts";
import { Family } from "../domain/records.ts";
import type { EntrySteps, Step } from "../ports.ts";
import { nextTurn } from "../timing.ts";

/** What happened to one session and its tasks and is not folded yet. */
interface Pending {
  steps: Step[];
  endedAt: string | undefined;
}

/** Changes that are decoded and folded in one turn of the event loop: some milliseconds. */
const FOLDED_AT_ONCE = 300;

/**
 * A project's sessions and tasks on the way from one seq to a later one. To decode a change costs many times what it costs to
 * read past it, so that nothing is decoded before a state is asked for: by then many changes count no more.
 */
export class PastFamilies {
  /** As of the last `settle`. */
  readonly families: Map<string, Family>;
  readonly #pending = new Map<string, Pending>();
  #bytes = 0;

  constructor(families: Map<string, Family>) {
    this.families = families;
  }

  /** Of what waits to be folded. */
  get pendingBytes(): number {
    return this.#bytes;
  }

  /** The next entry's changes, or some of them. */
  add({ at, steps, bytes }: EntrySteps, isWanted: (step: Step) => boolean = () => true): void {
    this.#bytes += bytes;
    for (const step of steps) {
      if (!isWanted(step)) continue;
      const pending = this.#pending.get(step.session_id) ?? { steps: [], endedAt: undefined };
      this.#pending.set(step.session_id, pending);
      if (step.kind === "session") {
        pending.endedAt = step.type === "ended" ? at : undefined;
        // What the session was before counts no more.
        if (step.isWhole) pending.steps = pending.steps.filter((other) => other.kind !== "session");
      }
      pending.steps.push(step);
    }
  }

  /** Folds what waits. Sessions that ended before `endedSince` are in no snapshot from here on: they are left out. */
  async settle(endedSince: string): Promise<void> {
    let folded = 0;
    for (const [sessionId, { steps, endedAt }] of this.#pending) {
      if (endedAt !== undefined && endedAt < endedSince) {
        this.families.delete(sessionId);
        continue;
      }
      const family = this.families.get(sessionId) ?? new Family();
      this.families.set(sessionId, family);
      for (const step of steps) foldChange(family, step.decode(), step.at);
      folded += steps.length;
      if (folded < FOLDED_AT_ONCE) continue;
      await nextTurn();
      folded = 0;
    }
    this.#pending.clear();
    this.#bytes = 0;
  }
}
