import type { Liveness, Session, SessionStatus, Task, TaskStatus } from "../../shared/entities.ts";
import type { HeartbeatInfo } from "../../shared/messages/frames.ts";
import type { ProjectScope } from "../domain/project-scope.ts";
import type { LogChange } from "../domain/records.ts";

/** Filters given together must all hold; times are ISO 8601 UTC. */
interface CommonFilter {
  readonly project_id?: string | undefined;
  /** `created_at` at or after / before. */
  readonly created_from?: string | undefined;
  readonly created_to?: string | undefined;
  /** `updated_at` at or after. */
  readonly updated_from?: string | undefined;
}

export interface SessionFilter extends CommonFilter {
  readonly status?: SessionStatus | undefined;
  readonly liveness?: Liveness | undefined;
  readonly machine_id?: string | undefined;
  readonly environment?: string | undefined;
  readonly min_recovery_attempts?: number | undefined;
}

export interface TaskFilter extends CommonFilter {
  readonly session_id?: string | undefined;
  readonly status?: TaskStatus | undefined;
}

/** Place of an entity in a list; `key` settles equal values. */
export interface ListPlace {
  /** Of the field that the list runs by: a time (ISO 8601) or a number. */
  readonly value: string | number;
  /** `<project>/<session>` or `<project>/<session>/<task>`. */
  readonly key: string;
}

/** A project that has changes. */
export interface ListedProject {
  readonly project_id: string;
  readonly created_at: string;
}

/** What one commit did to one session and its tasks. */
export interface HistoryEntry {
  readonly from_seq: number;
  readonly at: string;
  readonly changes: readonly LogChange[];
}

/**
 * Reads for REST. Entities come without the fields that only hubs need. Every method rejects within about 4 s when the
 * database does not answer or gives up on a query (`DatabaseTrouble` tells which).
 */
export interface Queries {
  findSession(projectId: string, sessionId: string): Promise<Session | undefined>;
  findTask(projectId: string, sessionId: string, taskId: string): Promise<Task | undefined>;
  /** Sessions with this id in these projects, newest first, at most `limit`. */
  findSessionsById(sessionId: string, scope: ProjectScope, limit: number): Promise<Session[]>;
  /** Sessions by `<project>/<session>`, those that are there. */
  findSessionsByKey(keys: readonly string[]): Promise<Session[]>;
  /** Keys of sessions whose work stood still when they were last heard of, since then (ISO 8601), at most `limit`. */
  findStill(since: string, limit: number): Promise<string[]>;
  findProject(projectId: string): Promise<ListedProject | undefined>;
  /** Of the scope, by id, only those after the given one. */
  listProjects(scope: ProjectScope, afterId: string | undefined, limit: number): Promise<ListedProject[]>;
  /** Of these projects, in the order of `orderOfSessions`, only what comes after the place. */
  listSessions(
    filter: SessionFilter,
    scope: ProjectScope,
    after: ListPlace | undefined,
    limit: number,
  ): Promise<Session[]>;
  /** Likewise, newest first. */
  listTasks(filter: TaskFilter, scope: ProjectScope, after: ListPlace | undefined, limit: number): Promise<Task[]>;
  /** Entries with from_seq < `beforeSeq` that touch the session, newest first, with its own changes only. */
  readHistory(
    projectId: string,
    sessionId: string,
    beforeSeq: number | undefined,
    limit: number,
  ): Promise<HistoryEntry[]>;
  /** The last heartbeats that were written back, by `<project>/<session>`. */
  readHeartbeats(keys: readonly string[]): Promise<ReadonlyMap<string, HeartbeatInfo>>;
}

/** What a rejection means: the database is away, or it gave up on a query that took too long; undefined: a bug of ours. */
export type DatabaseTrouble = "away" | "slow" | undefined;
