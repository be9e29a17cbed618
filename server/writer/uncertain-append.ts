import { jsonEqual } from "../../shared/json.ts";
import type { BOUNDS } from "../bounds.ts";
import type { Entry } from "../domain/records.ts";
import type { ChangeLog, Clock, Logger, Projections } from "../ports.ts";
import { pause } from "../timing.ts";
import type { Project } from "./project.ts";
import type { Projects } from "./projects.ts";

interface Deps {
  readonly changeLog: ChangeLog;
  readonly projections: Pick<Projections, "readMark">;
  readonly projects: Projects;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
  readonly isStopped: () => boolean;
}

/**
 * What an append that has no clean answer can be: the place is taken, nothing is known, or it was answered as committed so
 * late that the place may have been free again, because what stood there was trimmed.
 */
export type Uncertainty = "taken" | "unknown" | "late";

/**
 * Finds out what became of an append that has no clean answer: `committed`, or `lost` to another hub, whose entries are
 * applied by then, or `forgotten`: its place is trimmed, whoever had it, and the project has begun anew. Undefined when
 * the hub stops first. Until then nothing else may be composed for this project.
 */
export async function settleAppend(
  { project, entry }: { readonly project: Project; readonly entry: Entry },
  outcome: Uncertainty,
  deps: Deps,
): Promise<"committed" | "lost" | "forgotten" | undefined> {
  const { bounds, log } = deps;
  if (outcome === "unknown") {
    log.warn({ project_id: project.id, from_seq: entry.from_seq }, "append unanswered, sent again");
    await pause(bounds.unknownRetryFirstMs);
  }
  let step: "look" | "send" | "verify" = FIRST_STEP[outcome];
  let wait: number = outcome === "taken" ? bounds.lostRaceLookMs : bounds.unknownRetryFirstMs;
  for (; ; wait = Math.min(wait * 2, bounds.unknownRetryLastMs)) {
    if (deps.isStopped()) return undefined;
    const found = await STEPS[step](project, entry, deps);
    if (found === "committed" || found === "lost" || found === "forgotten") return found;
    // What took the place comes from the other hub or can be read within a moment: no reason to send yet.
    if (found === "unseen") step = wait < bounds.unknownRetryFirstMs ? "look" : "send";
    else step = found;
    await pause(wait);
  }
}

/**
 * E11000: ours if an earlier attempt got through after all, else another hub was faster. An entry that cannot be read
 * by majority yet decides nothing: it may be our own, and it may go again with its primary.
 */
async function look(project: Project, entry: Entry, deps: Deps) {
  const { changeLog, projects, clock, log } = deps;
  try {
    // Applied here already, as its own hub has told: the head is past it, and nothing has to be read.
    const arrived = project.recent.holding(entry.from_seq);
    if (arrived !== undefined) return isSame(arrived, entry) ? "committed" : "lost";
    const there = await changeLog.readHolding(project.id, entry.from_seq);
    if (there === undefined) return await unseen(project, entry, deps);
    if (isSame(there, entry)) return project.isHeadRecent(clock) ? "committed" : "verify";
    await projects.catchUp(project);
    return "lost";
  } catch (error) {
    log.warn({ err: error, project_id: project.id }, "lost race not settled, will be tried again");
    return "look";
  }
}

/** The identical entry: no other content may be tried for its key while this one may still arrive. */
async function sendAgain(project: Project, entry: Entry, { changeLog, clock, log }: Deps) {
  const [outcome] = await changeLog.append([entry]);
  if (outcome === undefined || outcome === "unknown") return "send";
  log.info({ project_id: entry.project_id, from_seq: entry.from_seq, outcome }, "append answered");
  // "impossible" cannot follow "unknown" for the same bytes; were it so, the entry may still be there: not ours to refuse.
  if (outcome !== "committed") return "look";
  return project.isHeadRecent(clock) ? "committed" : "verify";
}

/** Answered as committed. Where the log begins only later, what stood there is gone and this entry counts for nothing. */
async function verify(project: Project, entry: Entry, deps: Deps) {
  try {
    return (await isTrimmed(project, entry, deps)) ? await forget(project, deps) : "committed";
  } catch (error) {
    deps.log.warn({ err: error, project_id: project.id }, "a late append not verified, will be tried again");
    return "verify";
  }
}

/** Taken, but not to be read: not yet, or not any more. */
async function unseen(project: Project, entry: Entry, deps: Deps) {
  if (project.isHeadRecent(deps.clock) || !(await isTrimmed(project, entry, deps))) return "unseen";
  return forget(project, deps);
}

async function forget(project: Project, { projects }: Deps): Promise<"forgotten"> {
  await projects.beginAnew(project);
  return "forgotten";
}

/** log_start is raised before anything is removed: whoever got a place that was taken before sees it raised. */
async function isTrimmed(project: Project, entry: Entry, { projections }: Deps): Promise<boolean> {
  return ((await projections.readMark(project.id))?.logStart ?? 1) > entry.from_seq;
}

const FIRST_STEP = { taken: "look", unknown: "send", late: "verify" } as const;
const STEPS = { look, send: sendAgain, verify } as const;

/** The very entry, not only one of this hub: after a loss the same hub may have put another one there. */
export function isSame(a: Entry, b: Entry): boolean {
  return a.hub_id === b.hub_id && a.epoch === b.epoch && a.at === b.at && jsonEqual(a.changes, b.changes);
}
