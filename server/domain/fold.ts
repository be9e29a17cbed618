import { applyChange } from "../../shared/apply-change.ts";
import type { Session, Task } from "../../shared/entities.ts";
import type { Entry, Family, LogChange, SessionRecord } from "./records.ts";

/**
 * Folds one logged change into its family. What a record already holds (`appliedSeq`) is skipped, so that a document
 * read at any moment and the log after a mark give the same state in the end.
 */
export function foldChange(family: Family, change: LogChange, at: string): void {
  if (change.seq <= (family.removed?.seq ?? 0)) return;
  if (change.type === "removed") {
    foldRemoval(family, change.seq);
    return;
  }
  if (change.kind === "task") foldTask(family, change, at);
  const session = change.kind === "session" ? foldSession(family.session, change, at) : family.session;
  family.session = session === undefined ? undefined : foldOp(session, change);
}

/** Folds the entry's changes to one session's family. */
export function foldEntry(family: Family, sessionId: string, entry: Entry): void {
  for (const change of entry.changes) {
    if (change.session_id === sessionId) foldChange(family, change, entry.at);
  }
}

/** What is newer than the removal, in documents that were read after it, belongs to a session that began anew. */
function foldRemoval(family: Family, seq: number): void {
  const gone = [...family.tasks].filter(([, { appliedSeq }]) => appliedSeq < seq).map(([taskId]) => taskId);
  for (const taskId of gone) family.tasks.delete(taskId);
  if (family.session !== undefined && family.session.appliedSeq < seq) family.session = undefined;
  family.removed = { seq, task_ids: [...new Set([...(family.removed?.task_ids ?? []), ...gone])] };
}

function foldTask(family: Family, change: LogChange, at: string): void {
  const before = family.tasks.get(change.id);
  if (before !== undefined && before.appliedSeq >= change.seq) return;
  const entity = applyChange<Task>(before?.entity, { ...change, at });
  if (entity === undefined) return;
  family.tasks.set(change.id, {
    entity,
    appliedSeq: change.seq,
    editVersion: change.actor.kind === "hub" ? (before?.editVersion ?? 0) : change.version,
  });
}

function foldSession(before: SessionRecord | undefined, change: LogChange, at: string): SessionRecord | undefined {
  if (before !== undefined && before.appliedSeq >= change.seq) return before;
  const entity = applyChange<Session>(before?.entity, { ...change, at });
  if (entity === undefined) return before;
  const sameOwner = before !== undefined && before.entity.incarnation === entity.incarnation;
  return {
    entity,
    // Left to foldOp, which must still see that this change is new.
    appliedSeq: before?.appliedSeq ?? 0,
    lastOp: sameOwner ? before.lastOp : 0,
    lastOpSeq: sameOwner ? before.lastOpSeq : 0,
    editVersion: change.actor.kind === "hub" ? (before?.editVersion ?? 0) : change.version,
  };
}

/** A task's change belongs to a publish of its session: it moves the session's marks too. */
function foldOp(session: SessionRecord, change: LogChange): SessionRecord {
  if (session.appliedSeq >= change.seq) return session;
  const counts = change.op !== undefined && change.incarnation === session.entity.incarnation;
  return {
    ...session,
    appliedSeq: change.seq,
    lastOp: counts ? (change.op ?? 0) : session.lastOp,
    lastOpSeq: counts ? change.seq : session.lastOpSeq,
  };
}
