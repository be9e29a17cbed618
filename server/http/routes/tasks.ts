import type { z } from "zod";
import type { Session, Task } from "../../../shared/entities.ts";
import { refuse } from "../../../shared/errors.ts";
import type { ProjectQuery } from "../../../shared/rest/sessions.ts";
import type { NewTask, TaskPatch, TasksQuery } from "../../../shared/rest/tasks.ts";
import { mayRead, NOT_AUTHORIZED } from "../../domain/access.ts";
import { findSession } from "../../queries/find-session.ts";
import { listTasks, type PageRequest } from "../../queries/list.ts";
import type { TaskFilter } from "../../queries/ports.ts";
import { accepted, type Outcome, refused } from "../../writer/outcome.ts";
import { CREATE_TASK, GET_TASK, LIST_SESSION_TASKS, LIST_TASKS, UPDATE_TASK } from "../declared/tasks.ts";
import type { HttpDeps } from "../deps.ts";
import type { Resource } from "../describe/declaration.ts";
import { type Call, type CallWithBody, type Reply, reading, writing } from "../endpoint.ts";
import { editTask } from "../entity-edit.ts";
import { etagOf, isUnchanged } from "../etag.ts";
import { parsePathId } from "../path.ts";

type OneQuery = z.infer<typeof ProjectQuery>;

export function taskResources(deps: HttpDeps): Resource[] {
  return [
    { path: "/tasks", get: reading(deps, LIST_TASKS, (call) => list(deps, call, call.query)) },
    {
      path: "/sessions/:session_id/tasks",
      get: reading(deps, LIST_SESSION_TASKS, (call) => listOfSession(deps, call)),
      post: writing(deps, CREATE_TASK, (call) => create(deps, call)),
    },
    {
      path: "/sessions/:session_id/tasks/:task_id",
      get: reading(deps, GET_TASK, (call) => show(deps, call)),
      patch: writing(deps, UPDATE_TASK, (call) => edit(deps, call)),
    },
  ];
}

async function list(
  deps: HttpDeps,
  { principal }: Pick<Call<unknown>, "principal">,
  { limit, cursor, ...filter }: TaskFilter & PageRequest,
): Promise<Outcome<Reply>> {
  if (filter.project_id !== undefined && !mayRead(principal, filter.project_id)) return refused(NOT_AUTHORIZED);
  const page = await listTasks(deps.queries, filter, principal.scope, { limit, cursor });
  return page.ok ? accepted({ status: 200, body: page.value }) : page;
}

async function listOfSession(deps: HttpDeps, call: Call<z.infer<typeof TasksQuery>>): Promise<Outcome<Reply>> {
  const session = await findParent(deps, call);
  if (!session.ok) return session;
  const { project_id, session_id } = session.value;
  return list(deps, call, { ...call.query, project_id, session_id });
}

async function show(deps: HttpDeps, call: Call<OneQuery>): Promise<Outcome<Reply>> {
  const task = await find(deps, call);
  if (!task.ok) return task;
  if (!isUnchanged(call.header("if-none-match"), task.value.version)) return shown(200, task.value);
  return accepted({ status: 304, headers: { ETag: etagOf(task.value) } });
}

async function create(deps: HttpDeps, call: CallWithBody<OneQuery, z.infer<typeof NewTask>>): Promise<Outcome<Reply>> {
  const session = await findParent(deps, call);
  if (!session.ok) return session;
  const { project_id, session_id } = session.value;
  const { actor, requestId: request_id, body, bytes } = call;
  const outcome = await deps.writer.submit(
    project_id,
    { type: "create_task", session_id, task: body, actor, request_id },
    bytes,
  );
  if (!outcome.ok) return outcome;
  const { created, task } = outcome.value;
  if (task === undefined) throw new Error("a task that was created is not in its answer");
  const path = ["sessions", session_id, "tasks", body.task_id].map(encodeURIComponent).join("/");
  const Location = `/${path}?project_id=${encodeURIComponent(project_id)}`;
  return shown(created ? 201 : 200, task.entity, { Location });
}

async function edit(deps: HttpDeps, call: CallWithBody<OneQuery, z.infer<typeof TaskPatch>>): Promise<Outcome<Reply>> {
  const before = await find(deps, call);
  if (!before.ok) return before;
  const after = await editTask(deps.writer, before.value, call.body, { ...call, ifMatch: call.header("if-match") });
  return after.ok ? shown(200, after.value) : after;
}

function shown(status: number, task: Task, headers: Readonly<Record<string, string>> = {}): Outcome<Reply> {
  return accepted({ status, headers: { ETag: etagOf(task), ...headers }, body: task });
}

async function findParent(
  deps: HttpDeps,
  { principal, path, query }: Call<{ readonly project_id?: string | undefined }>,
): Promise<Outcome<Session>> {
  const sessionId = parsePathId(path, "session_id");
  return sessionId.ok ? findSession(deps.queries, principal, sessionId.value, query.project_id) : sessionId;
}

async function find(deps: HttpDeps, call: Call<OneQuery>): Promise<Outcome<Task>> {
  const taskId = parsePathId(call.path, "task_id");
  if (!taskId.ok) return taskId;
  const session = await findParent(deps, call);
  if (!session.ok) return session;
  const { project_id, session_id } = session.value;
  const task = await deps.queries.findTask(project_id, session_id, taskId.value);
  if (task !== undefined) return accepted(task);
  return refused(refuse("NOT_FOUND", `no task ${taskId.value} in session ${session_id}`));
}
