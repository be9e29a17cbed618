import { DISPLAY_STATES, displayState } from "../../shared/display.ts";
import { Liveness, type Session, SessionStatus } from "../../shared/entities.ts";
import type { ProjectView } from "../../shared/rest/projects.ts";
import type { Counts } from "../domain/standing.ts";
import type { ProjectCount } from "../ports.ts";
import type { ListedProject } from "./ports.ts";

export function viewProject(
  projectId: string,
  listed: ListedProject | undefined,
  { epoch, seq, counts }: ProjectCount,
  stalled: number,
): ProjectView {
  const created = listed === undefined ? {} : { created_at: listed.created_at };
  return { project_id: projectId, ...created, epoch, seq, counts: viewCounts(counts, stalled) };
}

/** `stalled`: how many of those that seem to be working stand still; all else follows from status and liveness. */
function viewCounts(counts: Counts, stalled: number): ProjectView["counts"] {
  const view = {
    sessions: 0,
    status: zeros(SessionStatus.options),
    liveness: zeros(Liveness.options),
    display: zeros(DISPLAY_STATES),
  };
  for (const [standing, count] of counts) {
    const [status, liveness] = standing.split("/") as [SessionStatus, Liveness];
    const { state } = displayState({ status, liveness, created_at: "", updated_at: "" } as Session);
    view.sessions += count;
    // Words of a later release are in `sessions` alone.
    if (status in view.status) view.status[status] += count;
    if (liveness in view.liveness) view.liveness[liveness] += count;
    view.display[state] += count;
  }
  const still = Math.min(stalled, view.display.working);
  view.display.stalled += still;
  view.display.working -= still;
  return view;
}

function zeros<W extends string>(words: readonly W[]): Record<W, number> {
  return Object.fromEntries(words.map((word) => [word, 0])) as Record<W, number>;
}
