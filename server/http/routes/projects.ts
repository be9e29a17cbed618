import { z } from "zod";
import { readSnapshot } from "../../queries/project-snapshot.ts";
import { accepted } from "../../writer/outcome.ts";
import type { HttpDeps } from "../deps.ts";
import { type Resource, reading } from "../endpoint.ts";
import { parsePathId } from "../path.ts";

const SnapshotParameters = z.object({ cursor: z.string().min(1).max(256).optional() });

export function projectResources(deps: HttpDeps): Resource[] {
  return [
    {
      path: "/projects/:project_id/snapshot",
      get: reading(deps, SnapshotParameters, async ({ path, query }) => {
        const projectId = parsePathId(path, "project_id");
        if (!projectId.ok) return projectId;
        const page = await readSnapshot(deps, projectId.value, query.cursor);
        return page.ok ? accepted({ status: 200, body: page.value }) : page;
      }),
    },
  ];
}
