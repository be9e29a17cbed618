import { randomBytes } from "node:crypto";
import { type Actor, isFinal, type Session } from "../../shared/entities.ts";
import type { BOUNDS } from "../bounds.ts";
import type { Entry, Head, Removal } from "../domain/records.ts";
import { standingOf } from "../domain/standing.ts";
import type { Base, ChangeLog, Clock, Logger, Projections } from "../ports.ts";
import { pause } from "../timing.ts";
import { entryTime } from "../writer/compose.ts";
import { repairProject } from "../writer/repair.ts";
import { isSame } from "../writer/uncertain-append.ts";

export interface RemovalPorts {
  readonly hubId: string;
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
  readonly base: Base;
  readonly clock: Clock;
  readonly primaryChanges: () => number;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

/** Why sessions are removed. */
export interface RemovalCause {
  readonly actor: Actor;
  readonly request_id?: string;
  /** Whether the numbering of the project begins a new life, so that whoever follows it has to begin anew. */
  readonly beginsEpoch: boolean;
}

export interface Appended {
  /** Undefined when none of the sessions could go. */
  readonly entry: Entry | undefined;
  readonly removals: readonly Removal[];
  /** Sessions that are there, but not final. */
  readonly kept: number;
}

/**
 * Removes final sessions with their tasks: one entry at the end of the log, as any other change, so that every hub, whatever
 * it holds or is about to append, either comes before it or sees it. The decision is made on the documents after the repair
 * pass, which are those of the head if the place after it is still free. The documents are gone when this resolves. Rejects
 * when MongoDB does not answer; doing it again does no harm.
 */
export async function appendRemoval(
  projectId: string,
  sessionIds: readonly string[],
  cause: RemovalCause,
  ports: RemovalPorts,
): Promise<Appended> {
  const { changeLog, projections, clock, bounds } = ports;
  for (let wait: number = bounds.lostRaceLookMs; ; wait = Math.min(wait * 2, bounds.unknownRetryLastMs)) {
    const until = clock.monotonic() + bounds.headConfirmedMs;
    const head = await changeLog.readHead(projectId);
    if (head === undefined) return { entry: undefined, removals: [], kept: 0 };
    await repairProject(projectId, ports);
    const families = await projections.readFamilies(projectId, sessionIds);
    const there = [...families.values()].flatMap(({ session }) => (session === undefined ? [] : [session.entity]));
    const going = there.filter(({ status }) => isFinal(status));
    const kept = there.length - going.length;
    if (going.length === 0) return { entry: undefined, removals: [], kept };
    const entry = composeRemoval(head, going, cause, ports);
    if (await isAppended(entry, until, ports)) {
      await repairProject(projectId, ports);
      const removals = entry.changes.map(({ seq, session_id }) => {
        const task_ids = [...(families.get(session_id)?.tasks.keys() ?? [])];
        return { project_id: projectId, session_id, seq, task_ids };
      });
      return { entry, removals, kept };
    }
    await pause(wait);
  }
}

function composeRemoval(
  head: Head,
  sessions: readonly Session[],
  { beginsEpoch, ...cause }: RemovalCause,
  { hubId, clock }: RemovalPorts,
): Entry {
  const changes = sessions.map((session, index) => ({
    seq: head.seq + 1 + index,
    kind: "session" as const,
    id: session.session_id,
    session_id: session.session_id,
    version: session.version + 1,
    type: "removed" as const,
    ...cause,
    patch: {},
    was: standingOf(session),
  }));
  return {
    project_id: sessions[0]?.project_id ?? "",
    from_seq: head.seq + 1,
    to_seq: head.seq + changes.length,
    epoch: beginsEpoch ? randomBytes(8).toString("hex") : head.epoch,
    hub_id: hubId,
    at: entryTime(clock.now(), head.at),
    changes,
  };
}

/**
 * Whether the place was free. Sent again until it is known; `until` is when the head is so old that what comes after it may
 * have been trimmed, and no answer counts any more.
 */
async function isAppended(entry: Entry, until: number, { changeLog, clock, bounds }: RemovalPorts): Promise<boolean> {
  for (let wait: number = bounds.unknownRetryFirstMs; ; wait = Math.min(wait * 2, bounds.unknownRetryLastMs)) {
    const [outcome] = await changeLog.append([entry]);
    const there = outcome === "taken" ? await changeLog.readHolding(entry.project_id, entry.from_seq) : undefined;
    if (clock.monotonic() > until) throw new Error("what became of a removal was not known in time");
    if (outcome === "committed") return true;
    if (outcome === "impossible") throw new Error("a removal could not be encoded");
    if (there !== undefined) return isSame(there, entry);
    await pause(wait);
  }
}
