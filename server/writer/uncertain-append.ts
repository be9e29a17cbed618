import { jsonEqual } from "../../shared/json.ts";
import type { BOUNDS } from "../bounds.ts";
import type { Entry } from "../domain/records.ts";
import type { ChangeLog, Logger } from "../ports.ts";
import { pause } from "../timing.ts";
import type { Project } from "./project.ts";
import type { Projects } from "./projects.ts";

interface Deps {
  readonly changeLog: ChangeLog;
  readonly projects: Projects;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
  readonly isStopped: () => boolean;
}

/**
 * Finds out what became of an append that has no clean answer: `committed`, or `lost` to another hub, whose entries are
 * applied by then. Undefined when the hub stops first. Until then nothing else may be composed for this project.
 */
export async function settleAppend(
  { project, entry }: { readonly project: Project; readonly entry: Entry },
  outcome: "taken" | "unknown",
  deps: Deps,
): Promise<"committed" | "lost" | undefined> {
  const { bounds, log } = deps;
  if (outcome === "unknown") {
    log.warn({ project_id: project.id, from_seq: entry.from_seq }, "append unanswered, sent again");
    await pause(bounds.unknownRetryFirstMs);
  }
  let step: "look" | "send" = outcome === "taken" ? "look" : "send";
  let wait: number = outcome === "taken" ? bounds.lostRaceLookMs : bounds.unknownRetryFirstMs;
  for (; ; wait = Math.min(wait * 2, bounds.unknownRetryLastMs)) {
    if (deps.isStopped()) return undefined;
    const found = step === "look" ? await look(project, entry, deps) : await sendAgain(entry, deps);
    if (found === "committed" || found === "lost") return found;
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
async function look(project: Project, entry: Entry, { changeLog, projects, log }: Deps) {
  try {
    // Applied here already, as its own hub has told: the head is past it, and nothing has to be read.
    const arrived = project.recent.holding(entry.from_seq);
    if (arrived !== undefined) return isSame(arrived, entry) ? "committed" : "lost";
    const there = await changeLog.readHolding(project.id, entry.from_seq);
    if (there === undefined) return "unseen";
    if (isSame(there, entry)) return "committed";
    await projects.catchUp(project);
    return "lost";
  } catch (error) {
    log.warn({ err: error, project_id: project.id }, "lost race not settled, will be tried again");
    return "look";
  }
}

/** The identical entry: no other content may be tried for its key while this one may still arrive. */
async function sendAgain(entry: Entry, { changeLog, log }: Deps) {
  const [outcome] = await changeLog.append([entry]);
  if (outcome === undefined || outcome === "unknown") return "send";
  log.info({ project_id: entry.project_id, from_seq: entry.from_seq, outcome }, "append answered");
  // "impossible" cannot follow "unknown" for the same bytes; were it so, the entry may still be there: not ours to refuse.
  return outcome === "committed" ? "committed" : "look";
}

/** The very entry, not only one of this hub: after a loss the same hub may have put another one there. */
function isSame(a: Entry, b: Entry): boolean {
  return a.hub_id === b.hub_id && a.epoch === b.epoch && a.at === b.at && jsonEqual(a.changes, b.changes);
}
