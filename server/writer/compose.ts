import type { BOUNDS } from "../bounds.ts";
import type { DecideContext } from "../domain/commands.ts";
import { decide } from "../domain/decide.ts";
import { type Entry, FamilyDraft, type LogChange } from "../domain/records.ts";
import type { DecidedJob, Job } from "./job.ts";
import type { Project } from "./project.ts";

/** What is decided together and appended as one entry. */
export interface Commit {
  readonly project: Project;
  readonly jobs: readonly DecidedJob[];
  /** Undefined when nothing changes. */
  readonly entry: Entry | undefined;
  readonly drafts: ReadonlyMap<string, FamilyDraft>;
  readonly bytes: number;
}

interface Options {
  readonly hubId: string;
  readonly limits: DecideContext["limits"];
  readonly bounds: typeof BOUNDS;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** 16 hex digits, for a project's first entry. */
  readonly newEpoch: () => string;
}

/** Bytes of a change beside its request: key, actor, numbers. */
const CHANGE_OVERHEAD = 200;

/**
 * Takes waiting jobs whose families are loaded and decides them one after the other against the head, each seeing what
 * those before it would change. Jobs whose families are missing stay in the queue; `missing` names the families.
 */
export function compose(project: Project, options: Options): { commit: Commit; missing: Set<string> } {
  const { bounds, hubId, limits } = options;
  const { head } = project;
  const at = entryTime(options.now, head.at);
  const drafts = new Map<string, FamilyDraft>();
  const changes: LogChange[] = [];
  const jobs: DecidedJob[] = [];
  const left: Job[] = [];
  const missing = new Set<string>();
  let bytes = 0;
  let full = false;
  for (const job of project.queue) {
    if (job.settled) {
      project.queuedBytes -= job.bytes;
      continue;
    }
    const { session_id: sessionId } = job.command;
    const family = full ? undefined : project.family(sessionId);
    if (family === undefined) {
      if (!full) missing.add(sessionId);
      left.push(job);
      continue;
    }
    const draft = drafts.get(sessionId) ?? new FamilyDraft(family);
    const decision = decide(job.command, draft, {
      head,
      nextSeq: head.seq + changes.length + 1,
      at,
      hubId,
      limits,
      stateEveryVersions: bounds.stateEveryVersions,
    });
    const changesNothing = decision.kind === "refused" || decision.changes.length === 0;
    if (!changesNothing) {
      const size = decision.changes.reduce((sum, change) => sum + changeBytes(change), job.bytes);
      const tooMany = changes.length + decision.changes.length > bounds.entryChanges;
      if (changes.length > 0 && (tooMany || bytes + size > bounds.entryBytes)) {
        full = true;
        left.push(job);
        continue;
      }
      draft.put(decision.session, decision.tasks);
      drafts.set(sessionId, draft);
      changes.push(...decision.changes);
      bytes += size;
    }
    project.queuedBytes -= job.bytes;
    const leansOn =
      changesNothing && decision.kind === "accepted" ? project.unprojected(family) : { sessions: [], tasks: [] };
    jobs.push({ job, decision, leansOn });
  }
  project.queue.splice(0, project.queue.length, ...left);
  const entry: Entry | undefined =
    changes.length === 0
      ? undefined
      : {
          project_id: project.id,
          from_seq: head.seq + 1,
          to_seq: head.seq + changes.length,
          epoch: head.seq === 0 ? options.newEpoch() : head.epoch,
          hub_id: hubId,
          at,
          changes,
        };
  return { commit: { project, jobs, entry, drafts, bytes }, missing };
}

/** Never before the entry before it, whatever the clocks of two hubs say. */
export function entryTime(now: number, headAt: string): string {
  const at = new Date(now).toISOString();
  return at > headAt ? at : headAt;
}

/** The request's own size is counted with its job; a whole state comes on top. */
function changeBytes(change: LogChange): number {
  if (change.state === undefined) return CHANGE_OVERHEAD;
  return CHANGE_OVERHEAD + JSON.stringify(change.state).length;
}
