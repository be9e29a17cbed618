import { isFinal, type Session, type Task } from "../../shared/entities.ts";
import { sessionKey, taskKey } from "../../shared/ids.ts";
import type { ProjectScope } from "../domain/project-scope.ts";
import { Family, type SessionRecord, type TaskRecord } from "../domain/records.ts";
import type { ProjectionBatch, Projections, ProjectMark, WindowedDocuments } from "../ports.ts";
import { frozenCopy } from "./frozen-copy.ts";

interface Documents {
  readonly sessions: Map<string, SessionRecord>;
  readonly tasks: Map<string, TaskRecord>;
  readonly marks: Map<string, ProjectMark>;
}

/** Documents in memory: for unit tests and simulation. */
export class MemoryProjections implements Projections {
  #documents: Documents = { sessions: new Map(), tasks: new Map(), marks: new Map() };

  async write(batch: ProjectionBatch): Promise<void> {
    const { sessions, tasks } = this.#documents;
    for (const record of batch.sessions) replace(sessions, keyOfSession(record.entity), record);
    for (const record of batch.tasks) replace(tasks, keyOfTask(record.entity), record);
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
    if (!marks.has(projectId)) marks.set(projectId, { epoch, projectedSeq: 0, logStart });
  }

  async raiseLogStart(projectId: string, logStart: number): Promise<void> {
    const { marks } = this.#documents;
    const mark = marks.get(projectId);
    if (mark !== undefined && mark.logStart < logStart) marks.set(projectId, { ...mark, logStart });
  }

  async raiseMarks(
    ranges: readonly { readonly projectId: string; readonly from: number; readonly to: number }[],
  ): Promise<ReadonlyMap<string, number>> {
    const { marks } = this.#documents;
    for (const { projectId, from, to } of ranges) {
      const mark = marks.get(projectId);
      const joins = mark !== undefined && mark.projectedSeq >= from - 1 && mark.projectedSeq < to;
      if (joins) marks.set(projectId, { ...mark, projectedSeq: to });
    }
    return this.readProjectedSeqs(ranges.map(({ projectId }) => projectId));
  }

  async readFamilies(projectId: string, sessionIds: readonly string[]): Promise<Map<string, Family>> {
    const families = new Map<string, Family>();
    for (const sessionId of sessionIds) {
      const family = new Family();
      family.session = this.#documents.sessions.get(sessionKey(projectId, sessionId));
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
    const { sessions, tasks, marks } = this.#documents;
    return { sessions: new Map(sessions), tasks: new Map(tasks), marks: new Map(marks) };
  }

  /** Goes back to what was saved, as a database does that loses its last unjournaled writes. */
  restore(saved: Documents): void {
    const { sessions, tasks, marks } = saved;
    this.#documents = { sessions: new Map(sessions), tasks: new Map(tasks), marks: new Map(marks) };
  }
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
