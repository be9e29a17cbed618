import type { Change } from "../../shared/entities.ts";
import type { ChangesFrame } from "../../shared/messages/frames.ts";
import type { RecordedChange } from "../../shared/rest/changes.ts";
import type { Entry, LogChange } from "../domain/records.ts";

/** A logged change as the wire shows it: with its time, without what only hubs need, patch or state but not both. */
export function wireChange(change: LogChange, at: string): Change {
  const { seq, kind, id, session_id, version, type, actor, patch, state } = change;
  const head = { seq, at, kind, id, session_id, version, type, actor };
  return (patch === undefined ? { ...head, state } : { ...head, patch }) as Change;
}

/** The same as history tells it: with the request that it came from, where there was one. */
export function recordedChange(change: LogChange, at: string): RecordedChange {
  const { request_id } = change;
  return { ...wireChange(change, at), ...(request_id === undefined ? {} : { request_id }) };
}

/** Changes of the entries after `seq`, which may lie inside an entry. */
export function wireChanges(entries: readonly Entry[], afterSeq: number): Change[] {
  return entries.flatMap((entry) =>
    entry.changes.filter((change) => change.seq > afterSeq).map((change) => wireChange(change, entry.at)),
  );
}

/** The same as history tells it. */
export function recordedChanges(entries: readonly Entry[], afterSeq: number): RecordedChange[] {
  return entries.flatMap((entry) =>
    entry.changes.filter((change) => change.seq > afterSeq).map((change) => recordedChange(change, entry.at)),
  );
}

/** One commit as one frame. */
export function changesFrame(entry: Entry): ChangesFrame {
  return {
    project_id: entry.project_id,
    epoch: entry.epoch,
    from_seq: entry.from_seq,
    to_seq: entry.to_seq,
    changes: entry.changes.map((change) => wireChange(change, entry.at)),
  };
}
