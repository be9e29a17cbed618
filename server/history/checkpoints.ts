import type { BOUNDS } from "../bounds.ts";
import { Family } from "../domain/records.ts";

/** A project's sessions and tasks as of a seq; shares its records with others of its kind, and none is ever changed. */
interface Checkpoint {
  readonly key: string;
  readonly seq: number;
  readonly families: ReadonlyMap<string, Family>;
  readonly entities: number;
}

/**
 * Past states that were met on the way to others, one every so many changes. Who looks at a project's past looks again, a
 * little earlier or later: then only the changes since the nearest one are read. What was does not change, so none of
 * them is ever wrong; of the project that was asked for least recently some go first.
 */
export class Checkpoints {
  readonly #bounds: Pick<typeof BOUNDS, "checkpointChanges" | "checkpointEntities">;
  readonly #checkpoints = new Set<Checkpoint>();
  #entities = 0;

  constructor(bounds: Pick<typeof BOUNDS, "checkpointChanges" | "checkpointEntities">) {
    this.#bounds = bounds;
  }

  /** A copy of the nearest one at `seq` or before, to go on from; `project` names the life of its numbering too. */
  nearest(project: string, seq: number): { readonly seq: number; readonly families: Map<string, Family> } | undefined {
    let nearest: Checkpoint | undefined;
    for (const checkpoint of this.#checkpoints) {
      const isNearer = checkpoint.key === project && checkpoint.seq <= seq && checkpoint.seq > (nearest?.seq ?? -1);
      if (isNearer) nearest = checkpoint;
    }
    if (nearest === undefined) return undefined;
    this.#checkpoints.delete(nearest);
    this.#checkpoints.add(nearest);
    return { seq: nearest.seq, families: copyOf(nearest.families) };
  }

  /** Whether the state at `seq`, with so many sessions, is so far from the one before that it is worth a copy. */
  isDue(before: number, seq: number, sessions: number): boolean {
    return seq - before >= Math.max(this.#bounds.checkpointChanges, sessions);
  }

  keep(project: string, seq: number, families: ReadonlyMap<string, Family>): void {
    let entities = 0;
    for (const { tasks } of families.values()) entities += 1 + tasks.size;
    if (entities > this.#bounds.checkpointEntities) return;
    this.#checkpoints.add({ key: project, seq, families: copyOf(families), entities });
    this.#entities += entities;
    while (this.#entities > this.#bounds.checkpointEntities) this.#drop(this.#leastMissed());
  }

  #drop(checkpoint: Checkpoint): void {
    this.#checkpoints.delete(checkpoint);
    this.#entities -= checkpoint.entities;
  }

  /**
   * Of the project that was asked for least recently the one whose neighbours are nearest to each other, so that what is left
   * of a large project still lies all over its past.
   */
  #leastMissed(): Checkpoint {
    const [oldest] = this.#checkpoints;
    if (oldest === undefined) throw new Error("nothing is remembered");
    const line = [...this.#checkpoints].filter(({ key }) => key === oldest.key).sort((a, b) => a.seq - b.seq);
    const gapWithout = (index: number) =>
      (line[index + 1]?.seq ?? Number.POSITIVE_INFINITY) - (line[index - 1]?.seq ?? 0);
    const gaps = line.map((_, index) => gapWithout(index));
    return line[gaps.indexOf(Math.min(...gaps))] ?? oldest;
  }
}

function copyOf(families: ReadonlyMap<string, Family>): Map<string, Family> {
  const copy = new Map<string, Family>();
  for (const [sessionId, { session, tasks, removed }] of families) {
    const family = new Family();
    family.session = session;
    family.removed = removed;
    for (const [taskId, record] of tasks) family.tasks.set(taskId, record);
    copy.set(sessionId, family);
  }
  return copy;
}
