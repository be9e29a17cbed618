import type { Change, Session, Task } from "../../shared/entities.ts";
import type { Standing } from "./standing.ts";

/** A change as it stands in the log: `at` is its entry's, and what only hubs need comes along. */
export type LogChange = Omit<Change, "at"> & {
  readonly incarnation?: number;
  readonly op?: number;
  readonly request_id?: string;
  /** Where the session stood before, of a change that moves it or that says nothing but how it is now. */
  readonly was?: Standing;
};

/** One commit. Immutable once appended. */
export interface Entry {
  readonly project_id: string;
  readonly from_seq: number;
  readonly to_seq: number;
  /** Which life of the project's numbering, 16 hex digits; made by whoever appends entry 1. */
  readonly epoch: string;
  readonly hub_id: string;
  readonly at: string;
  readonly changes: readonly LogChange[];
}

/** Where a project's log ends; before its first entry `{epoch: "", seq: 0, at: ""}`. */
export interface Head {
  readonly epoch: string;
  readonly seq: number;
  readonly at: string;
}

export const EMPTY_HEAD: Head = { epoch: "", seq: 0, at: "" };

/** A session with what is folded from the log beside it. Immutable: a change makes a new record. */
export interface SessionRecord {
  readonly entity: Session;
  /** Last change that touched the document, the session's own or one of its tasks'. */
  readonly appliedSeq: number;
  /** Last op applied in the current incarnation, 0 for none, and the seq of its last change. */
  readonly lastOp: number;
  readonly lastOpSeq: number;
  /** Version at the last change by an agent or operator, so that the hub's verdicts spoil no `expected_version`. */
  readonly editVersion: number;
}

export interface TaskRecord {
  readonly entity: Task;
  readonly appliedSeq: number;
  readonly editVersion: number;
}

/** What a decision may look at: a session and its tasks. */
export interface FamilyView {
  readonly session: SessionRecord | undefined;
  task(taskId: string): TaskRecord | undefined;
  readonly taskCount: number;
}

/** A session that was forgotten, with its tasks. */
export interface Removal {
  readonly project_id: string;
  readonly session_id: string;
  readonly task_ids: readonly string[];
  /** Of the change that removed it: what is older does not count any more. */
  readonly seq: number;
}

/** A session and all its tasks as of a project's head; what is not in here does not exist. */
export class Family implements FamilyView {
  session: SessionRecord | undefined;
  readonly tasks = new Map<string, TaskRecord>();
  /** The last time that the session was removed, and the tasks that it had then. */
  removed: Pick<Removal, "seq" | "task_ids"> | undefined;

  task(taskId: string): TaskRecord | undefined {
    return this.tasks.get(taskId);
  }

  get taskCount(): number {
    return this.tasks.size;
  }
}

/** A family with the changes of a commit that is not in the log yet; the family below stays as it is. */
export class FamilyDraft implements FamilyView {
  readonly base: Family;
  #session: SessionRecord | undefined;
  readonly #tasks = new Map<string, TaskRecord>();
  #newTasks = 0;

  constructor(base: Family) {
    this.base = base;
  }

  get session(): SessionRecord | undefined {
    return this.#session ?? this.base.session;
  }

  task(taskId: string): TaskRecord | undefined {
    return this.#tasks.get(taskId) ?? this.base.task(taskId);
  }

  get taskCount(): number {
    return this.base.taskCount + this.#newTasks;
  }

  put(session: SessionRecord | undefined, tasks: readonly TaskRecord[]): void {
    if (session !== undefined) this.#session = session;
    for (const record of tasks) {
      if (this.task(record.entity.task_id) === undefined) this.#newTasks += 1;
      this.#tasks.set(record.entity.task_id, record);
    }
  }

  /** The records that differ from the family below. */
  get touched(): { readonly session: SessionRecord | undefined; readonly tasks: ReadonlyMap<string, TaskRecord> } {
    return { session: this.#session, tasks: this.#tasks };
  }
}
