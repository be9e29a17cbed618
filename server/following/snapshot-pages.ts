import type { Session, Task } from "../../shared/entities.ts";
import { nextTurn } from "../timing.ts";

interface PageBounds {
  readonly entities: number;
  readonly bytes: number;
  /** Entities that are measured in one turn of the event loop. */
  readonly slice: number;
}

/**
 * Where the pages of a snapshot begin, sessions before tasks: each holds at most so many entities, and of more than one
 * no more bytes, since a page is encoded and sent in one piece.
 */
export async function cutPages(
  { sessions, tasks }: { readonly sessions: readonly Session[]; readonly tasks: readonly Task[] },
  bounds: PageBounds,
): Promise<readonly number[]> {
  const starts = [0];
  let start = 0;
  let bytes = 0;
  for (let index = 0; index < sessions.length + tasks.length; index++) {
    const size = JSON.stringify(sessions[index] ?? tasks[index - sessions.length]).length;
    if (index > start && (index - start >= bounds.entities || bytes + size > bounds.bytes)) {
      starts.push(index);
      start = index;
      bytes = 0;
    }
    bytes += size;
    if (index % bounds.slice === bounds.slice - 1) await nextTurn();
  }
  return starts;
}
