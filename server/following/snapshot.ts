import { isFinal, type Session, type Task } from "../../shared/entities.ts";
import type { BOUNDS } from "../bounds.ts";
import { foldChange } from "../domain/fold.ts";
import { Family } from "../domain/records.ts";
import type { ChangeLog, Projections } from "../ports.ts";

/** A project's state at exactly one seq. Entities are shared with nobody who would change them. */
export interface Snapshot {
  readonly epoch: string;
  readonly seq: number;
  /** Not final, or ended within the window; newest first. */
  readonly sessions: readonly Session[];
  /** Of these sessions: not ended, or ended within the window. */
  readonly tasks: readonly Task[];
}

interface Options {
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
  readonly bounds: typeof BOUNDS;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** How often a snapshot is begun anew because the log was trimmed while it was read: more often than ever happens. */
const ATTEMPTS = 5;

/**
 * The state of a project as of the end of its log. Rejects when MongoDB does not answer, or the log has a hole.
 */
export async function buildSnapshot(projectId: string, options: Options): Promise<Snapshot> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const snapshot = await tryToBuild(projectId, options);
    if (snapshot !== undefined) return snapshot;
  }
  throw new Error(`the log of project ${projectId} does not follow its documents`);
}

/**
 * The mark first, then the documents of the window, then the log after the mark to its end, folded over them by seq:
 * whatever was projected while the documents were read, the result is the state at the last entry read. Undefined when
 * the log no longer reaches back to the mark.
 */
async function tryToBuild(projectId: string, options: Options): Promise<Snapshot | undefined> {
  const { changeLog, projections, bounds } = options;
  const endedSince = new Date(options.now - bounds.snapshotEndedWindowMs).toISOString();
  const mark = await projections.readMark(projectId);
  const documents = await projections.readWindow(projectId, endedSince);
  const families = new Map<string, Family>();
  const familyOf = (sessionId: string): Family => {
    let family = families.get(sessionId);
    if (family === undefined) {
      family = new Family();
      families.set(sessionId, family);
    }
    return family;
  };
  for (const record of documents.sessions) familyOf(record.entity.session_id).session = record;
  for (const record of documents.tasks) familyOf(record.entity.session_id).tasks.set(record.entity.task_id, record);
  let epoch = mark?.epoch ?? "";
  let seq = mark?.projectedSeq ?? 0;
  for (;;) {
    const entries = await changeLog.readAfter(projectId, seq, bounds.entriesPerRead);
    for (const entry of entries) {
      if (entry.from_seq !== seq + 1) return undefined;
      for (const change of entry.changes) foldChange(familyOf(change.session_id), change, entry.at);
      epoch = entry.epoch;
      seq = entry.to_seq;
    }
    if (entries.length < bounds.entriesPerRead) break;
  }
  return { epoch, seq, ...windowOf(families, endedSince) };
}

/** What a snapshot shows of a project's sessions and tasks. */
export function windowOf(
  families: ReadonlyMap<string, Family>,
  endedSince: string,
): Pick<Snapshot, "sessions" | "tasks"> {
  const sessions: Session[] = [];
  const tasks: Task[] = [];
  const isShown = (entity: Session | Task) =>
    !isFinal(entity.status) || (entity.ended_at !== undefined && entity.ended_at >= endedSince);
  for (const family of families.values()) {
    const session = family.session?.entity;
    if (session === undefined || !isShown(session)) continue;
    sessions.push(session);
    for (const { entity } of family.tasks.values()) if (isShown(entity)) tasks.push(entity);
  }
  sessions.sort((a, b) => (a.created_at < b.created_at ? 1 : a.created_at > b.created_at ? -1 : 0));
  return { sessions, tasks };
}
