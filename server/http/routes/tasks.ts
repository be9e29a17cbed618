import { z } from "zod";
import { TaskStatus } from "../../../shared/entities.ts";
import { Id } from "../../../shared/ids.ts";
import { findSession } from "../../queries/find-session.ts";
import { listTasks } from "../../queries/list.ts";
import type { TaskFilter } from "../../queries/ports.ts";
import { accepted } from "../../writer/outcome.ts";
import type { HttpDeps } from "../deps.ts";
import { type Resource, reading } from "../endpoint.ts";
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
  const answerList = async ({
    limit,
    cursor,
    ...filter
  }: TaskFilter & { limit: number; cursor?: string | undefined }) => {
    const page = await listTasks(deps.queries, filter, { limit, cursor });
    return page.ok ? accepted({ status: 200, body: page.value }) : page;
  };
  return [
    { path: "/tasks", get: reading(deps, TaskParameters, ({ query }) => answerList(query)) },
    {
      path: "/sessions/:session_id/tasks",
      get: reading(deps, TaskParameters, async ({ path, query }) => {
        const sessionId = parsePathId(path, "session_id");
        if (!sessionId.ok) return sessionId;
        const session = await findSession(deps.queries, sessionId.value, query.project_id);
        if (!session.ok) return session;
        const { project_id, session_id } = session.value;
        return answerList({ ...query, project_id, session_id });
      }),
    },
  ];
}
