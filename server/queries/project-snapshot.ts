import { refuse } from "../../shared/errors.ts";
import type { SnapshotPage } from "../../shared/messages/project-snapshot.ts";
import type { Snapshots } from "../following/snapshots.ts";
import { within } from "../patience.ts";
import { accepted, type Outcome, refused } from "../writer/outcome.ts";
import type { Project } from "../writer/project.ts";
import type { Projects } from "../writer/projects.ts";
import { refuseCursor } from "./list.ts";

/** Wait for the head of the log; what comes after it may take long in a big project, but the database is there then. */
const HEAD_WAIT_MS = 4_000;

/** The first page of a snapshot that holds every change that was acked before the request, or a further page. */
export async function readSnapshot(
  { projects, snapshots }: { readonly projects: Projects; readonly snapshots: Snapshots },
  projectId: string,
  cursor: string | undefined,
): Promise<Outcome<SnapshotPage>> {
  if (cursor !== undefined) return furtherPage(snapshots, projectId, cursor);
  const project = await within(HEAD_WAIT_MS, upToDate(projects, projectId));
  return accepted(await snapshots.first(project));
}

/** Also where frames keep the head up: another hub's last commit may not have arrived here yet. */
async function upToDate(projects: Projects, projectId: string): Promise<Project> {
  const project = await projects.get(projectId);
  await projects.catchUp(project);
  return project;
}

async function furtherPage(snapshots: Snapshots, projectId: string, cursor: string): Promise<Outcome<SnapshotPage>> {
  await snapshots.turn();
  const page = snapshots.next(projectId, cursor);
  if (page === "malformed") return refuseCursor("was not given by a snapshot of this project");
  if (page === "gone") return refused(refuse("GONE", "this snapshot is no longer kept; begin again without cursor"));
  return accepted(page);
}
