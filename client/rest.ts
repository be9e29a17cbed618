// @state-hub/client/rest: the REST interface, for operators' programs and for who has no socket. By `fetch`, so it runs
// wherever that is there (Node 18 and newer, browsers). A method for each route, under the name that openapi.json gives it.

import type { z } from "zod";
import type { Session, Task } from "../shared/entities.ts";
import type { SnapshotPage } from "../shared/messages/project-snapshot.ts";
import type { HistoryQuery, RecordedChange, RecordedChangePage } from "../shared/rest/changes.ts";
import type { DoctorQuery, DoctorReport } from "../shared/rest/doctor.ts";
import type { KeyRequest, KeyView, NewKey, RotateRequest } from "../shared/rest/keys.ts";
import type {
  Alive,
  DrainProgress,
  DrainRequest,
  HubStats,
  HubView,
  LogLevelAnswer,
  LogLevelRequest,
  Ready,
} from "../shared/rest/operations.ts";
import type { ChangesPage, ProjectPage, ProjectsQuery, ProjectView } from "../shared/rest/projects.ts";
import type { PurgeRequest, PurgeView } from "../shared/rest/purges.ts";
import type {
  NewSession,
  ProjectQuery,
  SessionEnd,
  SessionPage,
  SessionPatch,
  SessionsQuery,
  SessionView,
} from "../shared/rest/sessions.ts";
import type { NewTask, TaskPage, TaskPatch, TasksQuery } from "../shared/rest/tasks.ts";
import { Paged } from "./paged.ts";
import { ask, askText, type RestOptions, type RestRequest } from "./rest-request.ts";

export type { RecordedChange } from "../shared/rest/changes.ts";
export type { KeyView, NewKey } from "../shared/rest/keys.ts";
export type { SessionView } from "../shared/rest/sessions.ts";
export { type ClientErrorCode, StateHubError } from "./errors.ts";
export { Paged } from "./paged.ts";
export type { RestOptions } from "./rest-request.ts";

/** Parameters as a program has them; in the URL they are text. Cursors are this client's matter. */
type Query<S extends z.ZodType> = {
  readonly [K in Exclude<keyof z.input<S>, "cursor">]?: K extends "limit" | "min_recovery_attempts"
    ? number
    : z.input<S>[K];
};

type Body<S extends z.ZodType> = Readonly<z.input<S>>;
type InProject = Query<typeof ProjectQuery>;

interface IfMatch {
  /** Only while this is its version: else `VERSION_CONFLICT`. */
  readonly ifMatch?: number;
}

/** What was: right after the change with this seq, or at this time (ISO 8601). */
interface At {
  readonly at: number | string;
}

interface Cursored<T> {
  readonly items: readonly T[];
  readonly next_cursor?: string;
}

export interface ProjectState {
  readonly epoch: string;
  readonly seq: number;
  readonly sessions: readonly Session[];
  readonly tasks: readonly Task[];
}

/** Every method rejects with a `StateHubError`; what has an unknown outcome may simply be asked again. */
export class RestClient {
  readonly #options: RestOptions;

  constructor(options: RestOptions) {
    this.#options = options;
  }

  /** `limit` is the size of a page, not of the list. */
  listSessions(query: Query<typeof SessionsQuery> = {}): Paged<SessionView, SessionPage> {
    return this.#list<SessionPage>(["sessions"], query);
  }

  createSession(session: Body<typeof NewSession>): Promise<SessionView> {
    return this.#ask({ method: "POST", path: ["sessions"], body: session });
  }

  getSession(sessionId: string, query: InProject & At): Promise<Session>;
  getSession(sessionId: string, query?: InProject): Promise<SessionView>;
  getSession(sessionId: string, query: InProject & Partial<At> = {}): Promise<Session | SessionView> {
    return this.#ask({ path: ["sessions", sessionId], query });
  }

  updateSession(
    sessionId: string,
    patch: Body<typeof SessionPatch>,
    how: InProject & IfMatch = {},
  ): Promise<SessionView> {
    return this.#edit("PATCH", ["sessions", sessionId], patch, how);
  }

  closeSession(sessionId: string, end: Body<typeof SessionEnd>, how: InProject & IfMatch = {}): Promise<SessionView> {
    return this.#edit("POST", ["sessions", sessionId, "close"], end, how);
  }

  expireSession(sessionId: string, query: InProject = {}): Promise<SessionView> {
    return this.#ask({ method: "POST", path: ["sessions", sessionId, "expire"], query });
  }

  /** Newest first. */
  listSessionChanges(
    sessionId: string,
    query: Query<typeof HistoryQuery> = {},
  ): Paged<RecordedChange, RecordedChangePage> {
    return this.#list<RecordedChangePage>(["sessions", sessionId, "changes"], query);
  }

  listTasks(query: Query<typeof TasksQuery> = {}): Paged<Task, TaskPage> {
    return this.#list<TaskPage>(["tasks"], query);
  }

  listSessionTasks(sessionId: string, query: Query<typeof TasksQuery> = {}): Paged<Task, TaskPage> {
    return this.#list<TaskPage>(["sessions", sessionId, "tasks"], query);
  }

  createTask(sessionId: string, task: Body<typeof NewTask>, query: InProject = {}): Promise<Task> {
    return this.#ask({ method: "POST", path: ["sessions", sessionId, "tasks"], query, body: task });
  }

  getTask(sessionId: string, taskId: string, query: InProject = {}): Promise<Task> {
    return this.#ask({ path: ["sessions", sessionId, "tasks", taskId], query });
  }

  updateTask(
    sessionId: string,
    taskId: string,
    patch: Body<typeof TaskPatch>,
    how: InProject & IfMatch = {},
  ): Promise<Task> {
    return this.#edit("PATCH", ["sessions", sessionId, "tasks", taskId], patch, how);
  }

  listProjects(query: Query<typeof ProjectsQuery> = {}): Paged<ProjectView, ProjectPage> {
    return this.#list<ProjectPage>(["projects"], query);
  }

  getProject(projectId: string): Promise<ProjectView> {
    return this.#ask({ path: ["projects", projectId] });
  }

  /** All of it, at one seq. */
  async getSnapshot(projectId: string, query: Partial<At> = {}): Promise<ProjectState> {
    const path = ["projects", projectId, "snapshot"];
    let page = await this.#ask<SnapshotPage>({ path, query });
    const { epoch, seq } = page;
    const sessions = [...page.sessions];
    const tasks = [...page.tasks];
    while (page.next_cursor !== undefined) {
      page = await this.#ask<SnapshotPage>({ path, query: { cursor: page.next_cursor } });
      sessions.push(...page.sessions);
      tasks.push(...page.tasks);
    }
    return { epoch, seq, sessions, tasks };
  }

  /**
   * The changes after `since` (`<epoch>:<seq>`; without it all that the log has), in order and without a hole, up to the
   * head. `next` of the last page is the `since` for what comes later.
   */
  listProjectChanges(
    projectId: string,
    { since, limit }: { readonly since?: string; readonly limit?: number } = {},
  ): Paged<RecordedChange, ChangesPage> {
    return new Paged<RecordedChange, ChangesPage>(async (after) => {
      if (after?.length === 0) return undefined;
      return this.#ask({ path: ["projects", projectId, "changes"], query: { since: after?.next ?? since, limit } });
    });
  }

  getHealth(): Promise<z.infer<typeof Alive>> {
    return this.#ask({ path: ["health"] });
  }

  /** A hub that is not ready rejects with `UNREACHABLE`. */
  getReady(): Promise<Ready> {
    return this.#ask({ path: ["health", "ready"] });
  }

  getDrain(): Promise<DrainProgress> {
    return this.#ask({ path: ["admin", "drain"] });
  }

  startDrain(how: Body<typeof DrainRequest> = {}): Promise<DrainProgress> {
    return this.#ask({ method: "POST", path: ["admin", "drain"], body: how });
  }

  resume(): Promise<DrainProgress> {
    return this.#ask({ method: "POST", path: ["admin", "resume"] });
  }

  /** As the hub that answers sees them. */
  async listHubs(): Promise<readonly HubView[]> {
    return (await this.#ask<Cursored<HubView>>({ path: ["admin", "hubs"] })).items;
  }

  getStats(): Promise<HubStats> {
    return this.#ask({ path: ["admin", "stats"] });
  }

  setLogLevel(wish: Body<typeof LogLevelRequest>): Promise<z.infer<typeof LogLevelAnswer>> {
    return this.#ask({ method: "POST", path: ["admin", "log-level"], body: wish });
  }

  /** One page; with its `next_cursor` as `cursor` the next. It may take 20 seconds. */
  runDoctor(query: Query<typeof DoctorQuery> & { readonly cursor?: string } = {}): Promise<DoctorReport> {
    return this.#ask({ path: ["admin", "doctor"], query });
  }

  /** In the text format of Prometheus. */
  getMetrics(): Promise<string> {
    return askText(this.#options, { path: ["metrics"] });
  }

  async listKeys(): Promise<readonly KeyView[]> {
    return (await this.#ask<Cursored<KeyView>>({ path: ["admin", "keys"] })).items;
  }

  createKey(wish: Body<typeof KeyRequest>): Promise<NewKey> {
    return this.#ask({ method: "POST", path: ["admin", "keys"], body: wish });
  }

  revokeKey(keyId: string): Promise<KeyView> {
    return this.#ask({ method: "DELETE", path: ["admin", "keys", keyId] });
  }

  rotateKey(keyId: string, how: Body<typeof RotateRequest>): Promise<NewKey> {
    return this.#ask({ method: "POST", path: ["admin", "keys", keyId, "rotate"], body: how });
  }

  /** Forgets a session, or all sessions of a project, for good. */
  beginPurge(what: Body<typeof PurgeRequest>): Promise<PurgeView> {
    return this.#ask({ method: "POST", path: ["admin", "purges"], body: what });
  }

  getPurge(purgeId: string): Promise<PurgeView> {
    return this.#ask({ path: ["admin", "purges", purgeId] });
  }

  #ask<T>(request: RestRequest): Promise<T> {
    return ask<T>(this.#options, request);
  }

  #edit<T>(method: "PATCH" | "POST", path: readonly string[], body: object, how: InProject & IfMatch): Promise<T> {
    const { ifMatch, ...query } = how;
    const headers = ifMatch === undefined ? {} : { "if-match": `"${ifMatch}"` };
    return this.#ask({ method, path, query, body, headers });
  }

  #list<P extends Cursored<P["items"][number]>>(path: readonly string[], query: object): Paged<P["items"][number], P> {
    return new Paged<P["items"][number], P>(async (after) => {
      if (after !== undefined && after.next_cursor === undefined) return undefined;
      return this.#ask<P>({ path, query: { ...query, cursor: after?.next_cursor } });
    });
  }
}
