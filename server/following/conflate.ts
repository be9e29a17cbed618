import type { Change, Session, Task } from "../../shared/entities.ts";
import type { ChangesFrame } from "../../shared/messages/frames.ts";
import type { Position } from "../../shared/position.ts";
import type { Family } from "../domain/records.ts";
import type { TouchedEntity } from "./touched-entities.ts";

interface Conflation {
  readonly projectId: string;
  /** The last seq that the viewer was sent. */
  readonly seq: number;
  readonly head: Position;
  /** Every entity touched after `seq`. */
  readonly touched: readonly TouchedEntity[];
  /** The family as of the head; undefined when it has to be loaded. */
  familyOf(sessionId: string): Family | undefined;
}

/**
 * Everything after a position as one frame: one element per touched entity, with its state at the head. Or the sessions
 * whose state is not at hand.
 */
export function conflate({ projectId, seq, head, touched, familyOf }: Conflation): ChangesFrame | Set<string> {
  const changes: Change[] = [];
  const missing = new Set<string>();
  for (const entity of touched) {
    const state = stateOf(familyOf(entity.session_id), entity);
    if (state === undefined) missing.add(entity.session_id);
    else changes.push({ ...entity, version: state.version, state } as Change);
  }
  if (missing.size > 0) return missing;
  return { project_id: projectId, epoch: head.epoch, from_seq: seq + 1, to_seq: head.seq, changes, conflated: true };
}

function stateOf(family: Family | undefined, { kind, id }: TouchedEntity): Session | Task | undefined {
  return kind === "session" ? family?.session?.entity : family?.task(id)?.entity;
}
