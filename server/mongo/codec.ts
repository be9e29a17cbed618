import type { Session, Task } from "../../shared/entities.ts";
import { sessionKey, taskKey } from "../../shared/ids.ts";
import type { Entry, LogChange, Removal, SessionRecord, TaskRecord } from "../domain/records.ts";
import { logKey } from "./database.ts";

/** Times of the documents are BSON dates, for queries and TTLs; inside patches and states they stay wire text. */
type Stored<T> = Omit<T, "created_at" | "updated_at" | "ended_at" | "lost_at"> & {
  created_at: Date;
  updated_at: Date;
  ended_at?: Date;
  lost_at?: Date;
};

export type SessionDocument = Stored<Session> & {
  _id: string;
  applied_seq: number;
  last_op: number;
  last_op_seq: number;
  edit_version: number;
};

export type TaskDocument = Stored<Task> & { _id: string; applied_seq: number; edit_version: number };

/** What stands in the place of a removed document, so that nothing older is written there; MongoDB deletes it in time. */
export interface Tombstone {
  _id: string;
  applied_seq: number;
  removed_at: Date;
}

export interface EntryDocument {
  _id: { p: string; s: number };
  to_seq: number;
  epoch: string;
  hub_id: string;
  at: Date;
  changes: LogChange[];
}

export function encodeEntry(entry: Entry): EntryDocument {
  return {
    _id: logKey(entry.project_id, entry.from_seq),
    to_seq: entry.to_seq,
    epoch: entry.epoch,
    hub_id: entry.hub_id,
    at: new Date(entry.at),
    changes: entry.changes as LogChange[],
  };
}

export function decodeEntry(document: EntryDocument): Entry {
  return {
    project_id: document._id.p,
    from_seq: document._id.s,
    to_seq: document.to_seq,
    epoch: document.epoch,
    hub_id: document.hub_id,
    at: document.at.toISOString(),
    changes: document.changes,
  };
}

export function encodeSession(record: SessionRecord): SessionDocument {
  const { entity } = record;
  return {
    ...storedTimes(entity),
    _id: sessionKey(entity.project_id, entity.session_id),
    applied_seq: record.appliedSeq,
    last_op: record.lastOp,
    last_op_seq: record.lastOpSeq,
    edit_version: record.editVersion,
  };
}

export function encodeTask(record: TaskRecord): TaskDocument {
  const { entity } = record;
  return {
    ...storedTimes(entity),
    _id: taskKey(entity.project_id, entity.session_id, entity.task_id),
    applied_seq: record.appliedSeq,
    edit_version: record.editVersion,
  };
}

export function decodeSession(document: SessionDocument): SessionRecord {
  const { _id, applied_seq, last_op, last_op_seq, edit_version, ...stored } = document;
  return {
    entity: wireTimes<Session>(stored),
    appliedSeq: applied_seq,
    lastOp: last_op,
    lastOpSeq: last_op_seq,
    editVersion: edit_version,
  };
}

export function decodeTask(document: TaskDocument): TaskRecord {
  const { _id, applied_seq, edit_version, ...stored } = document;
  return { entity: wireTimes<Task>(stored), appliedSeq: applied_seq, editVersion: edit_version };
}

/** Of the session and of its tasks. */
export function encodeRemoval({ project_id, session_id, task_ids, seq }: Removal): {
  readonly session: Tombstone;
  readonly tasks: readonly Tombstone[];
} {
  const removed_at = new Date();
  const inPlaceOf = (_id: string): Tombstone => ({ _id, applied_seq: seq, removed_at });
  return {
    session: inPlaceOf(sessionKey(project_id, session_id)),
    tasks: task_ids.map((taskId) => inPlaceOf(taskKey(project_id, session_id, taskId))),
  };
}

export function isTombstone(document: object): document is Tombstone {
  return "removed_at" in document;
}

function storedTimes<T extends Session | Task>(entity: T): Stored<T> {
  const stored = { ...entity, created_at: new Date(entity.created_at), updated_at: new Date(entity.updated_at) };
  if (entity.ended_at !== undefined) Object.assign(stored, { ended_at: new Date(entity.ended_at) });
  if ("lost_at" in entity && entity.lost_at !== undefined) Object.assign(stored, { lost_at: new Date(entity.lost_at) });
  return stored as unknown as Stored<T>;
}

function wireTimes<T extends Session | Task>(stored: Omit<Stored<T>, "_id">): T {
  const { created_at, updated_at, ended_at, lost_at } = stored as unknown as Stored<Session>;
  return {
    ...stored,
    created_at: created_at.toISOString(),
    updated_at: updated_at.toISOString(),
    ...(ended_at === undefined ? {} : { ended_at: ended_at.toISOString() }),
    ...(lost_at === undefined ? {} : { lost_at: lost_at.toISOString() }),
  } as unknown as T;
}
