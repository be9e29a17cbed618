import { z } from "zod";
import { mayRead, NOT_AUTHORIZED } from "../../domain/access.ts";
import { MomentText } from "../../history/moment.ts";
import { PositionText } from "../../history/position-text.ts";
import { readSnapshot } from "../../queries/project-snapshot.ts";
import { accepted, refused } from "../../writer/outcome.ts";
import type { HttpDeps } from "../deps.ts";
import { type Resource, reading } from "../endpoint.ts";
import { parsePathId } from "../path.ts";
import { PageParameters } from "../query.ts";

const SnapshotParameters = z
  .object({ cursor: z.string().min(1).max(256).optional(), at: MomentText.optional() })
  .refine(({ cursor, at }) => cursor === undefined || at === undefined, {
    path: ["at"],
    message: "is not for further pages; a cursor keeps to its moment",
  });

const ChangesParameters = z.object({ since: PositionText.optional(), limit: PageParameters.limit });

export function projectResources(deps: HttpDeps): Resource[] {
  return [
    {
      path: "/projects/:project_id/snapshot",
      get: reading(deps, SnapshotParameters, async ({ principal, path, query }) => {
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
      get: reading(deps, ChangesParameters, async ({ principal, path, query }) => {
        const projectId = parsePathId(path, "project_id");
        if (!projectId.ok) return projectId;
        if (!mayRead(principal, projectId.value)) return refused(NOT_AUTHORIZED);
        const page = await deps.history.changesSince(projectId.value, query.since, query.limit);
        return page.ok ? accepted({ status: 200, body: page.value }) : page;
      }),
    },
  ];
}
