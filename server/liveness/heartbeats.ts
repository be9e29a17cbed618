import { sessionKey } from "../../shared/ids.ts";
import type { HeartbeatInfo } from "../../shared/messages/frames.ts";
import type { Beat } from "../../shared/messages/heartbeat.ts";
import type { BOUNDS } from "../bounds.ts";
import type { Entry } from "../domain/records.ts";
import type { BeatRow, Beats, Clock, Logger } from "../ports.ts";
import type { Project } from "../writer/project.ts";
import type { Leases } from "./leases.ts";
import type { OwnedSession } from "./owners.ts";
import { afterBeat, afterChange, afterRecall, isStill, lastActivityAt, NOTHING_TOLD, type Work } from "./work.ts";

interface Options {
  readonly hubId: string;
  readonly beats: Beats;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
  readonly leases: Pick<Leases, "renew">;
  /** As in `displayState`: work that did not move for so long is still; 0: none ever is. */
  readonly stalledAfterMs: number;
  /** Sends the newest heartbeats of a project to the viewers that asked for them. */
  readonly publish: (projectId: string, at: string, sessions: Readonly<Record<string, HeartbeatInfo>>) => void;
}

type BeatFields = Omit<HeartbeatInfo, "last_heartbeat_at" | "last_activity_at">;

interface LastBeat {
  readonly owned: OwnedSession;
  at: number;
  info: BeatFields;
  work: Work;
  /** Not written back yet / not shown to viewers yet. */
  unwritten: boolean;
  unshown: boolean;
  /** The row in MongoDB may still be another hub's. */
  claim: boolean;
}

/**
 * When each session that is open here was last heard of. The fast path is a few assignments in memory; MongoDB hears
 * of it coarsely, viewers at most once a second. Bounded by the sessions that are open on this hub.
 */
export class Heartbeats {
  /** Sessions that were heard of since the start, by heartbeats and publishes. */
  heard = 0;
  readonly #options: Options;
  readonly #last = new Map<string, LastBeat>();
  readonly #timers: NodeJS.Timeout[];
  #writing: Promise<void> | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#timers = [
      setInterval(() => this.#show(), options.bounds.heartbeatFrameMs),
      setInterval(() => this.#startWriting(), options.bounds.beatWriteBackMs),
    ];
  }

  /** A sign of life of an owned session; a publish counts as one too, then there is no `beat`. It renews the lease. */
  onBeat(owned: OwnedSession, beat?: Beat): void {
    this.heard += 1;
    this.#options.leases.renew(owned.lease);
    const key = sessionKey(owned.project.id, owned.sessionId);
    let last = this.#last.get(key);
    if (last === undefined || last.owned !== owned) {
      const { info, work } = last?.owned.incarnation === owned.incarnation ? last : NEW_OWNER;
      last = { owned, at: 0, info, work, unwritten: true, unshown: true, claim: true };
      this.#last.set(key, last);
    }
    last.at = this.#options.clock.now();
    last.unwritten = true;
    last.unshown = true;
    if (beat === undefined) return;
    last.info = infoOf(beat);
    last.work = afterBeat(last.work, beat, last.at);
  }

  /** What agents and operators change is a move of the work; opening a session is none yet, the hub's notes never are. */
  onEntry(project: Project, entry: Entry): void {
    if (this.#last.size === 0) return;
    const at = Date.parse(entry.at);
    for (const { actor, kind, type, session_id } of entry.changes) {
      const isOpen = kind === "session" && (type === "created" || type === "reopened");
      if (actor.kind === "hub" || isOpen) continue;
      const last = this.#last.get(sessionKey(project.id, session_id));
      if (last === undefined) continue;
      last.work = afterChange(last.work, actor.kind, at);
      last.unwritten = true;
      last.unshown = true;
    }
  }

  /** What is known here, fresher than MongoDB. */
  lastOf(projectId: string, sessionId: string): HeartbeatInfo | undefined {
    const last = this.#last.get(sessionKey(projectId, sessionId));
    return last === undefined ? undefined : shown(last);
  }

  /** Keys of sessions whose agents are heard of here while their work stands still. */
  stillKeys(): string[] {
    const still: string[] = [];
    for (const [key, last] of this.#last) if (this.#isStill(last)) still.push(key);
    return still;
  }

  #isStill({ at, work }: LastBeat): boolean {
    return isStill(work, at, this.#options.stalledAfterMs);
  }

  /** Writes what is not written yet, once. */
  async writeBack(): Promise<void> {
    await this.#writing;
    this.#startWriting();
    await this.#writing;
  }

  /** Stops the timers and writes what is not written yet. */
  stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    return this.writeBack();
  }

  #show(): void {
    const byProject = new Map<string, Record<string, HeartbeatInfo>>();
    for (const last of this.#last.values()) {
      if (!last.unshown) continue;
      last.unshown = false;
      const { project, sessionId } = last.owned;
      let sessions = byProject.get(project.id);
      if (sessions === undefined) {
        // Keyed by ids from outside: no prototype.
        sessions = Object.create(null) as Record<string, HeartbeatInfo>;
        byProject.set(project.id, sessions);
      }
      sessions[sessionId] = shown(last);
    }
    const at = new Date(this.#options.clock.now()).toISOString();
    for (const [projectId, sessions] of byProject) this.#options.publish(projectId, at, sessions);
  }

  #startWriting(): void {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  async #write(): Promise<void> {
    const { beats, hubId, log } = this.#options;
    const due = [...this.#last.values()].filter((last) => last.unwritten);
    if (due.length === 0) {
      this.#forgetReleased();
      return;
    }
    for (const last of due) last.unwritten = false;
    try {
      await this.#recall(due.filter((last) => last.claim && !last.work.wasSeenMoving));
      await beats.write(
        hubId,
        due.map((last) => ({ ...rowOf(last), isStill: this.#isStill(last) })),
      );
      for (const last of due) last.claim = false;
      this.#forgetReleased();
    } catch (error) {
      for (const last of due) last.unwritten = true;
      log.debug({ err: error, rows: due.length }, "heartbeats not written back, will be tried again");
    }
  }

  /** Before rows are taken over: since when the work of these sessions stood still where they were open before. */
  async #recall(claimed: readonly LastBeat[]): Promise<void> {
    if (claimed.length === 0) return;
    const stored = await this.#options.beats.read(claimed.map(({ owned }) => keyOf(owned)));
    for (const last of claimed) {
      const beat = stored.get(keyOf(last.owned));
      if (beat?.incarnation !== last.owned.incarnation) continue;
      const before = last.work;
      last.work = afterRecall(before, beat);
      if (last.work !== before) last.unshown = true;
    }
  }

  /** Sessions that are no longer open here and whose last beat is in MongoDB need not be remembered. */
  #forgetReleased(): void {
    for (const [key, { owned, unwritten }] of this.#last) {
      if (!unwritten && owned.connection.owned.get(owned.sessionId) !== owned) this.#last.delete(key);
    }
  }
}

const NEW_OWNER = { info: {}, work: NOTHING_TOLD } as const;

function keyOf({ project, sessionId }: OwnedSession): string {
  return sessionKey(project.id, sessionId);
}

function shown({ at, work, info }: LastBeat): HeartbeatInfo {
  return { last_heartbeat_at: new Date(at).toISOString(), ...lastActivityAt(work), ...info };
}

function rowOf({ owned, at, work, info, claim }: LastBeat): Omit<BeatRow, "isStill"> {
  return {
    projectId: owned.project.id,
    sessionId: owned.sessionId,
    incarnation: owned.incarnation,
    lastHeartbeatAt: new Date(at).toISOString(),
    lastActivityAt: lastActivityAt(work).last_activity_at,
    heartbeat: info,
    claim,
  };
}

function infoOf(beat: Beat): BeatFields {
  return {
    ...(beat.progress === undefined ? {} : { progress: beat.progress }),
    ...(beat.activity === undefined ? {} : { activity: beat.activity }),
    ...(beat.metrics === undefined ? {} : { metrics: beat.metrics }),
  };
}
