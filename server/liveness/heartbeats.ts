import { sessionKey } from "../../shared/ids.ts";
import type { HeartbeatInfo } from "../../shared/messages/frames.ts";
import type { Beat } from "../../shared/messages/heartbeat.ts";
import type { BOUNDS } from "../bounds.ts";
import type { BeatRow, Beats, Clock, Logger } from "../ports.ts";
import type { Leases } from "./leases.ts";
import type { OwnedSession } from "./owners.ts";

interface Options {
  readonly hubId: string;
  readonly beats: Beats;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
  readonly leases: Pick<Leases, "renew">;
  /** Sends the newest heartbeats of a project to the viewers that asked for them. */
  readonly publish: (projectId: string, at: string, sessions: Readonly<Record<string, HeartbeatInfo>>) => void;
}

interface LastBeat {
  readonly owned: OwnedSession;
  at: number;
  info: Omit<HeartbeatInfo, "last_heartbeat_at">;
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
    this.#options.leases.renew(owned.lease);
    const key = sessionKey(owned.project.id, owned.sessionId);
    let last = this.#last.get(key);
    if (last === undefined || last.owned !== owned) {
      last = { owned, at: 0, info: last?.info ?? {}, unwritten: true, unshown: true, claim: true };
      this.#last.set(key, last);
    }
    last.at = this.#options.clock.now();
    last.unwritten = true;
    last.unshown = true;
    if (beat !== undefined) last.info = infoOf(beat);
  }

  /** What is known here, fresher than MongoDB. */
  lastOf(projectId: string, sessionId: string): HeartbeatInfo | undefined {
    const last = this.#last.get(sessionKey(projectId, sessionId));
    return last === undefined ? undefined : { last_heartbeat_at: new Date(last.at).toISOString(), ...last.info };
  }

  /** Stops the timers and writes what is not written yet, once. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#writing;
    await this.#write();
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
      sessions[sessionId] = { last_heartbeat_at: new Date(last.at).toISOString(), ...last.info };
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
    const rows = due.map(
      (last): BeatRow => ({
        projectId: last.owned.project.id,
        sessionId: last.owned.sessionId,
        lastHeartbeatAt: new Date(last.at).toISOString(),
        heartbeat: last.info,
        claim: last.claim,
      }),
    );
    try {
      await beats.write(hubId, rows);
      for (const last of due) last.claim = false;
      this.#forgetReleased();
    } catch (error) {
      for (const last of due) last.unwritten = true;
      log.debug({ err: error, rows: rows.length }, "heartbeats not written back, will be tried again");
    }
  }

  /** Sessions that are no longer open here and whose last beat is in MongoDB need not be remembered. */
  #forgetReleased(): void {
    for (const [key, { owned, unwritten }] of this.#last) {
      if (!unwritten && owned.connection.owned.get(owned.sessionId) !== owned) this.#last.delete(key);
    }
  }
}

function infoOf(beat: Beat): Omit<HeartbeatInfo, "last_heartbeat_at"> {
  return {
    ...(beat.progress === undefined ? {} : { progress: beat.progress }),
    ...(beat.activity === undefined ? {} : { activity: beat.activity }),
    ...(beat.metrics === undefined ? {} : { metrics: beat.metrics }),
  };
}
