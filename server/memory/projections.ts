import { isFinal, type Session, type Task } from "../../shared/entities.ts";
import { sessionKey, taskKey } from "../../shared/ids.ts";
import type { ProjectScope } from "../domain/project-scope.ts";
import { Family, type Removal, type SessionRecord, type TaskRecord } from "../domain/records.ts";
import type { ProjectedRange, ProjectionBatch, Projections, ProjectMark, WindowedDocuments } from "../ports.ts";
import { frozenCopy } from "./frozen-copy.ts";

interface Documents {
  readonly sessions: Map<string, SessionRecord>;
  readonly tasks: Map<string, TaskRecord>;
  readonly marks: Map<string, ProjectMark>;
  /** By key of the session: nothing up to this seq may stand here. */
  readonly removals: Map<string, number>;
}

/** Documents in memory: for unit tests and simulation. */
export class MemoryProjections implements Projections {
  #documents: Documents = { sessions: new Map(), tasks: new Map(), marks: new Map(), removals: new Map() };

  async write(batch: ProjectionBatch): Promise<void> {
    const { sessions, tasks, removals } = this.#documents;
    for (const removal of batch.removals ?? []) this.#remove(removal);
    const isGone = ({ entity, appliedSeq }: SessionRecord | TaskRecord) =>
      appliedSeq <= (removals.get(sessionKey(entity.project_id, entity.session_id)) ?? 0);
    for (const record of batch.sessions) if (!isGone(record)) replace(sessions, keyOfSession(record.entity), record);
    for (const record of batch.tasks) if (!isGone(record)) replace(tasks, keyOfTask(record.entity), record);
  }

  #remove({ project_id, session_id, task_ids, seq }: Removal): void {
    const { sessions, tasks, removals } = this.#documents;
    const key = sessionKey(project_id, session_id);
    removals.set(key, Math.max(seq, removals.get(key) ?? 0));
    if ((sessions.get(key)?.appliedSeq ?? seq) < seq) sessions.delete(key);
    for (const taskId of task_ids) {
      const taskAt = taskKey(project_id, session_id, taskId);
      if ((tasks.get(taskAt)?.appliedSeq ?? seq) < seq) tasks.delete(taskAt);
    }
  }

  async settle(): Promise<void> {}

  async readMark(projectId: string): Promise<ProjectMark | undefined> {
    return this.#documents.marks.get(projectId);
  }

  async readProjectedSeqs(projectIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const found = new Map<string, number>();
    for (const projectId of projectIds) {
      const mark = this.#documents.marks.get(projectId);
      if (mark !== undefined) found.set(projectId, mark.projectedSeq);
    }
    return found;
  }

  async createMark(
    projectId: string,
    { epoch, logStart }: Pick<ProjectMark, "epoch" | "logStart">,
    _createdAt: string,
  ): Promise<void> {
    const { marks } = this.#documents;
    if (!marks.has(projectId)) marks.set(projectId, { epoch, projectedSeq: 0, logStart, forgottenSeq: 0 });
  }

  async raiseLogStart(projectId: string, logStart: number): Promise<void> {
    const { marks } = this.#documents;
    const mark = marks.get(projectId);
    if (mark !== undefined && mark.logStart < logStart) marks.set(projectId, { ...mark, logStart });
  }

  async raiseForgotten(projectId: string, seq: number): Promise<void> {
    const { marks } = this.#documents;
    const mark = marks.get(projectId);
    if (mark !== undefined) marks.set(projectId, { ...mark, forgottenSeq: Math.max(seq, mark.forgottenSeq) });
  }

  async findSessionIds(
    projectId: string,
    { createdBefore, after }: { readonly createdBefore: string; readonly after: string | undefined },
    limit: number,
  ): Promise<string[]> {
    return this.#idsWhere(projectId, ({ created_at }) => created_at <= createdBefore)
      .filter((sessionId) => after === undefined || sessionId > after)
      .slice(0, limit);
  }

  async findEndedSessionIds(projectId: string, endedBefore: string, limit: number): Promise<string[]> {
    const isOver = ({ status, ended_at }: Session) => isFinal(status) && (ended_at ?? endedBefore) < endedBefore;
    return this.#idsWhere(projectId, isOver).slice(0, limit);
  }

  #idsWhere(projectId: string, isWanted: (session: Session) => boolean): string[] {
    return [...this.#documents.sessions.values()]
      .filter(({ entity }) => entity.project_id === projectId && isWanted(entity))
      .map(({ entity }) => entity.session_id)
      .sort();
  }

  async raiseMarks(ranges: readonly ProjectedRange[]): Promise<ReadonlyMap<string, number>> {
    const { marks } = this.#documents;
    for (const { projectId, from, to, epoch } of ranges) {
      const mark = marks.get(projectId);
      const joins = mark !== undefined && mark.projectedSeq >= from - 1 && mark.projectedSeq < to;
      if (joins) marks.set(projectId, { ...mark, projectedSeq: to, epoch: epoch ?? mark.epoch });
    }
    return this.readProjectedSeqs(ranges.map(({ projectId }) => projectId));
  }

  async readFamilies(projectId: string, sessionIds: readonly string[]): Promise<Map<string, Family>> {
    const families = new Map<string, Family>();
    for (const sessionId of sessionIds) {
      const family = new Family();
      const key = sessionKey(projectId, sessionId);
      family.session = this.#documents.sessions.get(key);
      const removedSeq = this.#documents.removals.get(key);
      if (family.session === undefined && removedSeq !== undefined) family.removed = { seq: removedSeq, task_ids: [] };
      families.set(sessionId, family);
    }
    for (const record of this.#documents.tasks.values()) {
      const { project_id, session_id, task_id } = record.entity;
      if (project_id === projectId) families.get(session_id)?.tasks.set(task_id, record);
    }
    return families;
  }

  async readWindow(projectId: string, endedSince: string): Promise<WindowedDocuments> {
    const isShown = ({ entity }: { readonly entity: Session | Task }) =>
      entity.project_id === projectId &&
      (!isFinal(entity.status) || (entity.ended_at !== undefined && entity.ended_at >= endedSince));
    const sessions = [...this.#documents.sessions.values()].filter(isShown);
    const shown = new Set(sessions.map(({ entity }) => entity.session_id));
    const tasks = [...this.#documents.tasks.values()].filter(isShown);
    return { sessions, tasks: tasks.filter(({ entity }) => shown.has(entity.session_id)) };
  }

  async findSessionsById(
    sessionId: string,
    scope: ProjectScope,
  ): Promise<{ projectId: string; incarnation: number }[]> {
    return [...this.#documents.sessions.values()]
      .map(({ entity }) => entity)
      .filter((entity) => entity.session_id === sessionId && scope.has(entity.project_id))
      .sort((a, b) => (a.created_at < b.created_at ? 1 : a.created_at > b.created_at ? -1 : 0))
      .slice(0, 20)
      .map(({ project_id, incarnation }) => ({ projectId: project_id, incarnation }));
  }

  /** Everything that stands here now, for `restore`. */
  save(): Documents {
    return copyOf(this.#documents);
  }

  /** Goes back to what was saved, as a database does that loses its last unjournaled writes. */
  restore(saved: Documents): void {
    this.#documents = copyOf(saved);
  }
}

function copyOf({ sessions, tasks, marks, removals }: Documents): Documents {
  return {
    sessions: new Map(sessions),
    tasks: new Map(tasks),
    marks: new Map(marks),
    removals: new Map(removals),
  };
}

function replace<R extends { readonly appliedSeq: number }>(documents: Map<string, R>, key: string, record: R): void {
  const held = documents.get(key);
  if (held === undefined || held.appliedSeq < record.appliedSeq) documents.set(key, frozenCopy(record));
}

function keyOfSession({ project_id, session_id }: Session): string {
  return sessionKey(project_id, session_id);
}

function keyOfTask({ project_id, session_id, task_id }: Task): string {
  return taskKey(project_id, session_id, task_id);
}
