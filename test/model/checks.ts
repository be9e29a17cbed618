import { deepEqual } from "node:assert/strict";
import { BOUNDS } from "../../server/bounds.ts";
import { foldChange } from "../../server/domain/fold.ts";
import { type Entry, Family } from "../../server/domain/records.ts";
import { Checkpoints } from "../../server/history/checkpoints.ts";
import { buildSnapshotAt } from "../../server/history/project-at.ts";
import type { MemoryBase } from "../../server/memory/base.ts";
import { MemoryProjections } from "../../server/memory/projections.ts";
import type { Project } from "../../server/writer/project.ts";
import { repairProject } from "../../server/writer/repair.ts";
import { QUIET } from "../support/entries.ts";
import type { Request } from "./actors.ts";
import type { Follower } from "./follower.ts";
import { HUB_DEATH_MS, LEASE } from "./sim-hub.ts";
import type { WholeLog } from "./whole-log.ts";

/** [D3] [D4] Numbers of changes and versions have no hole, times do not go back, one epoch. */
export function checkLog(entries: readonly Entry[]): void {
  let seq = 0;
  let at = "";
  const versions = new Map<string, number>();
  for (const entry of entries) {
    if (entry.from_seq !== seq + 1) throw new Error(`entry ${entry.from_seq} follows ${seq}`);
    if (entry.epoch !== entries[0]?.epoch) throw new Error(`entry ${entry.from_seq} is of another epoch`);
    if (entry.at < at) throw new Error(`entry ${entry.from_seq} is older than the one before`);
    at = entry.at;
    for (const change of entry.changes) {
      seq += 1;
      if (change.seq !== seq) throw new Error(`change ${change.seq} stands where ${seq} should be`);
      const key = `${change.kind}/${change.session_id}/${change.id}`;
      const version = (versions.get(key) ?? 0) + 1;
      if (change.version !== version) throw new Error(`${key} has version ${change.version} after ${version - 1}`);
      versions.set(key, version);
    }
    if (entry.to_seq !== seq) throw new Error(`entry ${entry.from_seq} says it ends at ${entry.to_seq}, not ${seq}`);
  }
}

function foldAll(entries: readonly Entry[], upTo = Number.POSITIVE_INFINITY): Map<string, Family> {
  const families = new Map<string, Family>();
  for (const entry of entries) {
    for (const change of entry.changes) {
      if (change.seq > upTo) return families;
      const family = families.get(change.session_id) ?? new Family();
      families.set(change.session_id, family);
      foldChange(family, change, entry.at);
    }
  }
  return families;
}

export function signKey(hubId: string, projectId: string, sessionId: string, incarnation: number): string {
  return `${hubId}/${projectId}/${sessionId}/${incarnation}`;
}

/** What the hubs' verdicts have to agree with: times of the agents' signs of life and of the rises of the hubs' rows. */
interface Life {
  readonly signs: ReadonlyMap<string, readonly number[]>;
  readonly raises: ReadonlyMap<string, readonly number[]>;
}

/**
 * [B10] [B11] [B14] Each verdict was due when it was decided: none against an agent that was heard of, none for one that
 * was not, none twice, and every return from lost is counted.
 */
export function checkVerdicts(entries: readonly Entry[], { signs, raises }: Life): void {
  const families = new Map<string, Family>();
  const staleAt = new Map<string, number>();
  for (const { at, changes } of entries) {
    for (const change of changes) {
      const family = families.get(change.session_id) ?? new Family();
      families.set(change.session_id, family);
      const before = family.session?.entity;
      foldChange(family, change, at);
      const after = family.session?.entity;
      if (change.kind !== "session" || before === undefined || after === undefined) continue;
      const attempts = (after.metadata.recovery_attempts ?? 0) as number;
      const counted = attempts - ((before.metadata.recovery_attempts ?? 0) as number);
      const isBack = before.liveness === "lost" && after.liveness === "online";
      if (counted !== (isBack ? 1 : 0)) throw new Error(`change ${change.seq} counts ${counted} recoveries`);
      if (change.type !== "liveness" || change.incarnation !== undefined) continue;
      const key = signKey(change.actor.id, before.project_id, before.session_id, before.incarnation);
      const now = Date.parse(at);
      // Times are whole milliseconds here: in the one of the verdict a sign may have come before it or after.
      const isBefore = (sign: number) => (after.liveness === "online" ? sign <= now : sign < now);
      const heardAt = signs.get(key)?.findLast(isBefore) ?? Number.NEGATIVE_INFINITY;
      const name = `${before.liveness} → ${after.liveness} at ${at} (change ${change.seq}) by ${key}, heard at ${heardAt}`;
      if (before.hub_id !== change.actor.id) {
        const isHeld = before.liveness === "online" || before.liveness === "stale";
        if (after.liveness !== "lost" || !isHeld) throw new Error(`${name}: not the owner's hub`);
        checkDead(raises.get(before.hub_id ?? "") ?? [], now, name);
        continue;
      }
      const silentMs = now - heardAt + 1;
      if (after.liveness === "stale") {
        if (before.liveness !== "online" || silentMs < LEASE.ttlMs) throw new Error(name);
        staleAt.set(key, now);
      } else if (after.liveness === "lost") {
        const staleMs = now - (staleAt.get(key) ?? now) + 1;
        if (before.liveness !== "stale" || staleMs < LEASE.graceMs || silentMs < LEASE.ttlMs) throw new Error(name);
      } else if (silentMs > LEASE.ttlMs + 1) {
        throw new Error(name);
      }
    }
  }
}

/**
 * [Y1] [Y4] The row of a hub that is judged by another stood still for the time to die and the grace. What the judge
 * knew may have been as old as the time to die.
 */
function checkDead(raises: readonly number[], now: number, name: string): void {
  const since = now - HUB_DEATH_MS - LEASE.graceMs;
  const rise = raises.find((at) => at > since && at < now - HUB_DEATH_MS);
  if (rise !== undefined) throw new Error(`${name}: its hub was alive at ${rise}`);
}

/** [B10] [Y4] When all agents are long silent, that is said of every session: by its hub, or by others if that is dead. */
export function checkSilent(entries: readonly Entry[]): void {
  for (const { session } of foldAll(entries).values()) {
    const { hub_id = "", liveness, session_id } = session?.entity ?? {};
    if (hub_id !== "" && liveness !== "lost" && liveness !== "ended") {
      throw new Error(`${session_id} of ${hub_id} is still ${liveness}`);
    }
  }
}

/** Documents equal the fold of the log, hidden fields too, and the mark is at its end. */
export async function checkDocuments(
  projectId: string,
  entries: readonly Entry[],
  projections: MemoryProjections,
): Promise<void> {
  const folded = foldAll(entries);
  const stored = await projections.readFamilies(projectId, [...folded.keys()]);
  for (const [sessionId, family] of folded) {
    deepEqual(stored.get(sessionId)?.session, family.session, `document of ${projectId}/${sessionId}`);
    deepEqual(stored.get(sessionId)?.tasks, family.tasks, `tasks of ${projectId}/${sessionId}`);
  }
  const mark = await projections.readMark(projectId);
  const head = entries.at(-1)?.to_seq ?? 0;
  if ((mark?.projectedSeq ?? 0) !== head) throw new Error(`the mark is at ${mark?.projectedSeq}, the log at ${head}`);
}

/** Every change up to projected_seq is in the documents. */
export function checkMarks(projectId: string, entries: readonly Entry[], projections: MemoryProjections): void {
  const { sessions, tasks, marks } = projections.save();
  const projected = marks.get(projectId)?.projectedSeq ?? 0;
  for (const [sessionId, family] of foldAll(entries, projected)) {
    const shown = sessions.get(`${projectId}/${sessionId}`)?.appliedSeq ?? 0;
    if (shown < (family.session?.appliedSeq ?? 0))
      throw new Error(`mark ${projected}, but ${sessionId} is at ${shown}`);
    for (const [taskId, record] of family.tasks) {
      const task = tasks.get(`${projectId}/${sessionId}/${taskId}`)?.appliedSeq ?? 0;
      if (task < record.appliedSeq) throw new Error(`mark ${projected}, but ${sessionId}/${taskId} is at ${task}`);
    }
  }
}

/** [D1] What changed nothing, or was applied before, leans on all that the session's log says up to `seq`. */
export function checkVisible(
  projectId: string,
  sessionId: string,
  seq: number,
  entries: readonly Entry[],
  projections: MemoryProjections,
): void {
  const { sessions, tasks } = projections.save();
  const family = foldAll(entries, seq).get(sessionId);
  const shown = sessions.get(`${projectId}/${sessionId}`)?.appliedSeq ?? 0;
  if (shown < (family?.session?.appliedSeq ?? 0)) throw new Error(`acked at ${seq}, but ${sessionId} is at ${shown}`);
  for (const [taskId, { appliedSeq }] of family?.tasks ?? []) {
    const task = tasks.get(`${projectId}/${sessionId}/${taskId}`)?.appliedSeq ?? 0;
    if (task < appliedSeq) throw new Error(`acked at ${seq}, but ${sessionId}/${taskId} is at ${task}`);
  }
}

/**
 * [D22] The base and the log after it are the whole log: documents made of them alone equal the fold of everything, and
 * so does every state that is not trimmed.
 */
export async function checkPast(
  projectId: string,
  entries: readonly Entry[],
  { changeLog, projections, base }: { changeLog: WholeLog; projections: MemoryProjections; base: MemoryBase },
): Promise<void> {
  const fresh = new MemoryProjections();
  const repair = { changeLog, base, projections: fresh, log: QUIET, bounds: BOUNDS, primaryChanges: () => 0 };
  await repairProject(projectId, repair);
  await checkDocuments(projectId, entries, fresh);
  const { logStart = 1, epoch = "" } = (await projections.readMark(projectId)) ?? {};
  const headSeq = entries.at(-1)?.to_seq ?? 0;
  const checkpoints = new Checkpoints({ ...BOUNDS, checkpointChanges: 5 } as unknown as typeof BOUNDS);
  for (let seq = logStart - 1; seq <= headSeq; seq++) {
    const place = { seq, time: "1970-01-02T00:00:00.000Z", epoch, logStart, forgottenSeq: 0 };
    const isOver = () => false;
    const built = await buildSnapshotAt(projectId, place, { changeLog, base, checkpoints, isOver, bounds: BOUNDS });
    // A crash left the base ahead of the log's start.
    if (built === "trimmed") continue;
    if (typeof built === "string") throw new Error(`the state at ${seq} is ${built}, the log begins at ${logStart}`);
    const families = [...foldAll(entries, seq).values()];
    const byKey = (a: object, b: object) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
    const folded = families.flatMap(({ session, tasks }) =>
      [session, ...tasks.values()].map((one) => one?.entity ?? {}),
    );
    deepEqual([...built.sessions, ...built.tasks].sort(byKey), folded.sort(byKey), `${projectId} at ${seq}`);
  }
}

/** What a hub has cached is the state at its head. */
export function checkCaches(project: Project | undefined, entries: readonly Entry[]): void {
  if (project === undefined) return;
  const folded = foldAll(entries, project.head.seq);
  for (const [sessionId, family] of folded) {
    const cached = project.peek(sessionId);
    if (cached === undefined) continue;
    deepEqual(cached.session, family.session, `cached ${project.id}/${sessionId} at ${project.head.seq}`);
    deepEqual(cached.tasks, family.tasks, `cached tasks of ${project.id}/${sessionId} at ${project.head.seq}`);
  }
}

/** [D2] [D5] [D8] What was acked is in the log once, as it was acked; what was not, at most once; what was refused, never. */
export function checkRequests(requests: readonly Request[], changeLog: WholeLog): void {
  for (const request of requests) {
    const entries = changeLog.whole(request.projectId).flatMap((entry) => {
      const changes = entry.changes.filter(
        (change) =>
          change.session_id === request.sessionId &&
          (request.op === undefined
            ? change.request_id === request.requestId
            : change.op === request.op && change.incarnation === request.incarnation),
      );
      return changes.length === 0 ? [] : [changes];
    });
    const name = JSON.stringify({ ...request, acked: undefined });
    if (entries.length > 1) throw new Error(`${name} is in ${entries.length} entries`);
    const logged = (entries[0] ?? []).map(({ kind, id, version, seq }) => ({ kind, id, version, seq, changed: true }));
    if (request.acked !== undefined) {
      const changed = request.acked.results.filter((result) => result.changed);
      deepEqual(logged, changed, `${name} was acked like this`);
    } else if (logged.length > 0 && !request.unknown) {
      throw new Error(`${name} was refused, but is in the log`);
    }
  }
}

/** The mirror is at the end of the log and equals its fold. */
export function checkFollower(follower: Follower, entries: readonly Entry[]): void {
  const head = entries.at(-1);
  deepEqual(follower.position, { epoch: head?.epoch ?? "", seq: head?.to_seq ?? 0 }, "position of a follower");
  const entities: Record<string, unknown> = {};
  for (const [sessionId, family] of foldAll(entries)) {
    entities[sessionId] = family.session?.entity;
    for (const [taskId, { entity }] of family.tasks) entities[`${sessionId}/${taskId}`] = entity;
  }
  deepEqual(Object.fromEntries(follower.entities), entities, "mirror of a follower");
}
