import type { CountCheck, ProjectCounts } from "../counting/project-counts.ts";
import type { Counts } from "../domain/standing.ts";
import type { Clock } from "../ports.ts";
import { pause } from "../timing.ts";
import type { Projects } from "../writer/projects.ts";
import { fine, listed, plural, untold, type Verdict, wrong } from "./verdict.ts";

interface Options {
  readonly projects: Pick<Projects, "get" | "catchUp">;
  readonly projectCounts: Pick<ProjectCounts, "check">;
  readonly clock: Pick<Clock, "monotonic">;
  readonly bounds: { readonly doctorPauseMs: number };
}

/** A project in which much happens may move on between two looks. */
const ATTEMPTS = 3;

const WHAT_TO_DO = "stop all hubs, delete the project's row in `counts`, start them: docs/DOCTOR.md, counts";

/** What is counted change by change is what there is when every session is looked at. */
export async function checkCounts(
  projectId: string,
  { projects, projectCounts, clock, bounds }: Options,
  isOver: () => boolean,
): Promise<Verdict> {
  let since = clock.monotonic();
  // The hub has other things to do.
  const goOn = async () => {
    await pause(Math.min(clock.monotonic() - since, bounds.doctorPauseMs));
    since = clock.monotonic();
    return !isOver();
  };
  for (let attempt = 0; attempt < ATTEMPTS && !isOver(); attempt++) {
    const project = await projects.get(projectId);
    await projects.catchUp(project);
    const check = await projectCounts.check(project, goOn);
    if (check !== undefined) return judge(check);
  }
  return untold(
    "its sessions were not counted: there are too many, too much happens, or the log does not lead on from the documents",
  );
}

function judge({ kept, recounted, written }: CountCheck): Verdict {
  const findings = [
    ...differences("this hub", kept.counts, recounted.counts),
    ...(written === undefined ? [] : differences("the row in `counts`", written.counts, recounted.counts)),
  ];
  if (findings.length > 0) return wrong(listed(findings), WHAT_TO_DO);
  const sessions = [...recounted.counts.values()].reduce((sum, count) => sum + count, 0);
  return fine(`${plural(sessions, "session")} looked at, counts agree`);
}

function differences(who: string, told: Counts, counted: Counts): string[] {
  return [...new Set([...told.keys(), ...counted.keys()])]
    .filter((standing) => told.get(standing) !== counted.get(standing))
    .toSorted()
    .map((standing) => `${standing}: ${who} says ${told.get(standing) ?? 0}, there are ${counted.get(standing) ?? 0}`);
}
