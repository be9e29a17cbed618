import { refuse } from "../../shared/errors.ts";
import { ID_PATTERN } from "../../shared/ids.ts";
import type { ProjectView } from "../../shared/rest/projects.ts";
import type { BOUNDS } from "../bounds.ts";
import type { ProjectCounts } from "../counting/project-counts.ts";
import type { ProjectScope } from "../domain/project-scope.ts";
import type { Heartbeats } from "../liveness/heartbeats.ts";
import type { Clock, ProjectCount } from "../ports.ts";
import { accepted, type Outcome, refused } from "../writer/outcome.ts";
import type { Projects } from "../writer/projects.ts";
import { type CursorScope, decodeCursor, encodeCursor } from "./cursor.ts";
import { type Page, type PageRequest, pageOf, refuseCursor } from "./list.ts";
import type { ListedProject, Queries } from "./ports.ts";
import { viewProject } from "./project-view.ts";
import { countStalled } from "./stalled.ts";

export interface ProjectSources {
  readonly queries: Queries;
  readonly projects: Projects;
  readonly projectCounts: Pick<ProjectCounts, "of">;
  readonly heartbeats: Pick<Heartbeats, "lastOf" | "stillKeys">;
  readonly stalledAfterMs: number;
  readonly clock: Clock;
  readonly bounds: typeof BOUNDS;
}

/** Heads that are read at once for one list. */
const HEADS_AT_ONCE = 16;

const UNKNOWN = {
  ...refuse("UNAVAILABLE", "the sessions of this project cannot be counted just now; try again"),
  retry_after_ms: 1_000,
};

/** A project as it is now: its counts hold every change that was acked before. One without changes is empty. */
export async function readProject(sources: ProjectSources, projectId: string): Promise<Outcome<ProjectView>> {
  const [listed, count] = await Promise.all([sources.queries.findProject(projectId), countOf(sources, projectId)]);
  if (count === undefined) return refused(UNKNOWN);
  const stalled = await countStalled(sources, [projectId]);
  return accepted(viewProject(projectId, listed, count, stalled.get(projectId) ?? 0));
}

/** Projects of the scope that have sessions, by id. A page may be short of the limit and yet not the last. */
export async function listProjects(
  sources: ProjectSources,
  scope: ProjectScope,
  { limit, cursor }: PageRequest,
): Promise<Outcome<Page<ProjectView>>> {
  const place: CursorScope = ["projects", {}];
  const after = cursor === undefined ? undefined : idOf(decodeCursor(place, cursor));
  if (cursor !== undefined && after === undefined) return refuseCursor();
  const found = await sources.queries.listProjects(scope, after, limit + 1);
  const items = found.slice(0, limit);
  const views = await viewAll(sources, items);
  if (views === undefined) return refused(UNKNOWN);
  // One without any is what a purge has left.
  const shown = views.filter(({ counts }) => counts.sessions > 0);
  const last = items.at(-1);
  const isMore = found.length > limit && last !== undefined;
  return accepted(pageOf(shown, isMore ? encodeCursor(place, [last.project_id]) : undefined));
}

async function viewAll(sources: ProjectSources, listed: readonly ListedProject[]): Promise<ProjectView[] | undefined> {
  const ids = listed.map(({ project_id }) => project_id);
  const stalled = await countStalled(sources, ids);
  const views: ProjectView[] = [];
  for (let start = 0; start < listed.length; start += HEADS_AT_ONCE) {
    const some = listed.slice(start, start + HEADS_AT_ONCE);
    const counts = await Promise.all(some.map(({ project_id }) => countOf(sources, project_id)));
    for (const [index, project] of some.entries()) {
      const count = counts[index];
      if (count === undefined) return undefined;
      views.push(viewProject(project.project_id, project, count, stalled.get(project.project_id) ?? 0));
    }
  }
  return views;
}

/** Other hubs' changes may not have arrived here yet: the log is asked. */
async function countOf(
  { projects, projectCounts }: ProjectSources,
  projectId: string,
): Promise<ProjectCount | undefined> {
  const project = await projects.get(projectId);
  await projects.catchUp(project);
  return projectCounts.of(project);
}

function idOf(place: readonly unknown[] | undefined): string | undefined {
  const [id] = place ?? [];
  return place?.length === 1 && typeof id === "string" && ID_PATTERN.test(id) ? id : undefined;
}
