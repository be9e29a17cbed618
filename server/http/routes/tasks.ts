import { z } from "zod";
import { TaskStatus } from "../../../shared/entities.ts";
import { Id } from "../../../shared/ids.ts";
import { mayRead, NOT_AUTHORIZED } from "../../domain/access.ts";
import { findSession } from "../../queries/find-session.ts";
import { listTasks, type PageRequest } from "../../queries/list.ts";
import type { TaskFilter } from "../../queries/ports.ts";
import { accepted, refused } from "../../writer/outcome.ts";
import type { HttpDeps } from "../deps.ts";
import { type Call, type Resource, reading } from "../endpoint.ts";
import { parsePathId } from "../path.ts";
import { PageParameters, Time } from "../query.ts";

const TaskParameters = z.object({
  project_id: Id.optional(),
  session_id: Id.optional(),
  status: TaskStatus.optional(),
  created_from: Time.optional(),
  created_to: Time.optional(),
  updated_from: Time.optional(),
  ...PageParameters,
});

export function taskResources(deps: HttpDeps): Resource[] {
  const answerList = async (
    { principal }: Pick<Call<unknown>, "principal">,
    { limit, cursor, ...filter }: TaskFilter & PageRequest,
  ) => {
    if (filter.project_id !== undefined && !mayRead(principal, filter.project_id)) return refused(NOT_AUTHORIZED);
    const page = await listTasks(deps.queries, filter, principal.scope, { limit, cursor });
    return page.ok ? accepted({ status: 200, body: page.value }) : page;
  };
  return [
    { path: "/tasks", get: reading(deps, TaskParameters, (call) => answerList(call, call.query)) },
    {
      path: "/sessions/:session_id/tasks",
      get: reading(deps, TaskParameters, async (call) => {
        const { path, query, principal } = call;
        const sessionId = parsePathId(path, "session_id");
        if (!sessionId.ok) return sessionId;
        const session = await findSession(deps.queries, principal, sessionId.value, query.project_id);
        if (!session.ok) return session;
        const { project_id, session_id } = session.value;
        return answerList(call, { ...query, project_id, session_id });
      }),
    },
  ];
}
