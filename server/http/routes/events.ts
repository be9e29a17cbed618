import { PositionText } from "../../../shared/position.ts";
import { mayRead, NOT_AUTHORIZED } from "../../domain/access.ts";
import { refused } from "../../writer/outcome.ts";
import { EVENTS } from "../declared/projects.ts";
import type { HttpDeps } from "../deps.ts";
import type { Resource } from "../describe/declaration.ts";
import { streaming } from "../endpoint.ts";
import { parsePathId } from "../path.ts";
import { invalid } from "../problem.ts";

export function eventResources(deps: HttpDeps): Resource[] {
  return [
    {
      path: "/projects/:project_id/events",
      get: streaming(deps, EVENTS, async ({ principal, path, query, header }) => {
        const projectId = parsePathId(path, "project_id");
        if (!projectId.ok) return projectId;
        if (!mayRead(principal, projectId.value)) return refused(NOT_AUTHORIZED);
        // The header is newer: browsers repeat the URL as it was, and add it. Empty is what they have before the first id.
        const last = PositionText.optional().safeParse(header("last-event-id") || undefined);
        if (!last.success) return refused(invalid("Last-Event-ID", "must be the id of an event of this project"));
        return deps.followProject({
          projectId: projectId.value,
          since: last.data ?? query.since,
          heartbeats: query.heartbeats === "true",
          principal,
        });
      }),
    },
  ];
}
