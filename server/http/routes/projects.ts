import { mayRead, NOT_AUTHORIZED } from "../../domain/access.ts";
import { readSnapshot } from "../../queries/project-snapshot.ts";
import { listProjects, readProject } from "../../queries/projects.ts";
import { accepted, refused } from "../../writer/outcome.ts";
import { GET_PROJECT, LIST_PROJECTS, PROJECT_CHANGES, SNAPSHOT } from "../declared/projects.ts";
import type { HttpDeps } from "../deps.ts";
import type { Resource } from "../describe/declaration.ts";
import { reading } from "../endpoint.ts";
import { parsePathId } from "../path.ts";

export function projectResources(deps: HttpDeps): Resource[] {
  return [
    {
      path: "/projects",
      get: reading(deps, LIST_PROJECTS, async ({ principal, query }) => {
        const page = await listProjects(deps, principal.scope, query);
        return page.ok ? accepted({ status: 200, body: page.value }) : page;
      }),
    },
    {
      path: "/projects/:project_id",
      get: reading(deps, GET_PROJECT, async ({ principal, path }) => {
        const projectId = parsePathId(path, "project_id");
        if (!projectId.ok) return projectId;
        if (!mayRead(principal, projectId.value)) return refused(NOT_AUTHORIZED);
        const project = await readProject(deps, projectId.value);
        return project.ok ? accepted({ status: 200, body: project.value }) : project;
      }),
    },
    {
      path: "/projects/:project_id/snapshot",
      get: reading(deps, SNAPSHOT, async ({ principal, path, query }) => {
        const projectId = parsePathId(path, "project_id");
        if (!projectId.ok) return projectId;
        if (!mayRead(principal, projectId.value)) return refused(NOT_AUTHORIZED);
        const page =
          query.at === undefined
            ? await readSnapshot(deps, projectId.value, query.cursor)
            : await deps.history.snapshotAt(projectId.value, query.at);
        return page.ok ? accepted({ status: 200, body: page.value }) : page;
      }),
    },
    {
      path: "/projects/:project_id/changes",
      get: reading(deps, PROJECT_CHANGES, async ({ principal, path, query }) => {
        const projectId = parsePathId(path, "project_id");
        if (!projectId.ok) return projectId;
        if (!mayRead(principal, projectId.value)) return refused(NOT_AUTHORIZED);
        const page = await deps.history.changesSince(projectId.value, query.since, query.limit);
        return page.ok ? accepted({ status: 200, body: page.value }) : page;
      }),
    },
  ];
}
