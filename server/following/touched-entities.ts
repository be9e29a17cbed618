import type { Actor, Change } from "../../shared/entities.ts";
import { taskKey } from "../../shared/ids.ts";
import type { Position } from "../../shared/position.ts";
import type { Entry } from "../domain/records.ts";

/** The newest change of one entity, without its content. */
export interface TouchedEntity {
  readonly kind: Change["kind"];
  readonly id: string;
  readonly session_id: string;
  readonly seq: number;
  readonly at: string;
  readonly type: Change["type"];
  readonly actor: Actor;
}

/**
 * Which entities of a project the entries after a position touched, whatever their number: an entity counts once, so
 * minutes of changes to a few sessions take no more memory than the first second.
 */
export class TouchedEntities {
  readonly #most: number;
  /** Least recently touched first. */
  readonly #entities = new Map<string, TouchedEntity>();
  #epoch: string;
  /** Every entry from here on was noted, up to `#seq`. */
  #since: number;
  #seq: number;

  /** Notes entries after `position`; of more than `most` entities it forgets the ones that were touched first. */
  constructor({ epoch, seq }: Position, most: number) {
    this.#epoch = epoch;
    this.#since = seq;
    this.#seq = seq;
    this.#most = most;
  }

  note(entry: Entry): void {
    if (entry.from_seq !== this.#seq + 1 || (this.#seq > 0 && entry.epoch !== this.#epoch)) this.#beginAt(entry);
    this.#epoch = entry.epoch;
    this.#seq = entry.to_seq;
    for (const { kind, id, session_id, seq, type, actor } of entry.changes) {
      // Of a kind that a later release knows there is no state to tell ([X4]).
      if (kind !== "session" && kind !== "task") continue;
      // There is no state that says so: who has not been sent this joins anew.
      if (type === "removed") {
        this.#entities.clear();
        this.#since = seq;
        continue;
      }
      const key = kind === "session" ? id : taskKey("", session_id, id);
      this.#entities.delete(key);
      this.#entities.set(key, { kind, id, session_id, seq, at: entry.at, type, actor });
    }
    for (const [key, { seq }] of this.#entities) {
      if (this.#entities.size <= this.#most) break;
      this.#entities.delete(key);
      this.#since = seq;
    }
  }

  /** Entities touched after `seq`, in the order of their newest changes; undefined when they are not all known. */
  after(seq: number, head: Position): readonly TouchedEntity[] | undefined {
    if (seq < this.#since || this.#seq !== head.seq || this.#epoch !== head.epoch) return undefined;
    return [...this.#entities.values()].filter((entity) => entity.seq > seq);
  }

  /** The log continues elsewhere: what was noted belongs to nothing any more. */
  #beginAt(entry: Entry): void {
    this.#entities.clear();
    // A seq of the former numbering may be as high as one of the new one.
    this.#since = Number.POSITIVE_INFINITY;
    this.#seq = entry.from_seq - 1;
  }
}
