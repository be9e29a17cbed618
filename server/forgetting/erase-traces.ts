import { sessionKey } from "../../shared/ids.ts";
import type { BOUNDS } from "../bounds.ts";
import type { Removal } from "../domain/records.ts";
import { removalsOfLeftTasks } from "../domain/removals.ts";
import type { Base, Beats, ChangeLog, Clock, Projections } from "../ports.ts";
import { pause } from "../timing.ts";

export interface ErasePorts {
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
  readonly base: Base;
  readonly beats: Pick<Beats, "remove">;
  readonly clock: Clock;
  readonly bounds: typeof BOUNDS;
  /** The hub stops: another one goes on. */
  readonly isStopped: () => boolean;
}

/**
 * What is left of sessions that were removed: their state in the base, their last heartbeats, their changes in the entries
 * before the removal. The entries stay without them: where one is gone, a hub with an old head could append. Paced like
 * trimming. Returns how many entries were changed; may be done again.
 */
export async function eraseTraces(projectId: string, removals: readonly Removal[], ports: ErasePorts): Promise<number> {
  const { projections, base, beats } = ports;
  const sessionIds = removals.map(({ session_id }) => session_id);
  if (sessionIds.length === 0) return 0;
  await base.write({ sessions: [], tasks: [], removals });
  // What trimming has written meanwhile, or looks for after this write.
  const left = removalsOfLeftTasks(projectId, await base.readFamilies(projectId, sessionIds));
  if (left.length > 0) await base.write({ sessions: [], tasks: [], removals: left });
  await beats.remove(sessionIds.map((sessionId) => sessionKey(projectId, sessionId)));
  const redacted = await redact(projectId, sessionIds, Math.min(...removals.map(({ seq }) => seq)), ports);
  await projections.countForgotten(projectId);
  return redacted;
}

async function redact(
  projectId: string,
  sessionIds: readonly string[],
  seq: number,
  { changeLog, clock, bounds, isStopped }: ErasePorts,
): Promise<number> {
  for (let redacted = 0; ; ) {
    const started = clock.monotonic();
    const some = await changeLog.redact(projectId, sessionIds, seq);
    if (some === 0) return redacted;
    redacted += some;
    if (isStopped()) throw new Error("the hub stops");
    await pause((clock.monotonic() - started) * bounds.trimPauseFactor);
  }
}
