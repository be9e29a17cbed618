import type { ConnectionState } from "../../client/connection-state.ts";
import type { StateHubError } from "../../client/errors.ts";
import { followProject, type ProjectFollower } from "../../client/follower.ts";
import { displayState } from "../../shared/display.ts";
import type { Task } from "../../shared/entities.ts";
import { ERRORS, type ErrorCode } from "../../shared/errors.ts";
import type { HeartbeatInfo } from "../../shared/messages/frames.ts";
import { CliError, EXIT } from "../exit.ts";
import type { HubAddress } from "../hub-address.ts";
import { printable } from "../output.ts";
import { badKey, HubRefusal } from "../rest.ts";
import type { ShownSession } from "../session-text.ts";
import { type Connection, type Filter, type Picture, select } from "./picture.ts";
import { ProjectFinder } from "./projects.ts";
import { rowOf, type WatchRow } from "./rows.ts";

/** Each project is a connection of its own. */
const MOST_PROJECTS = 100;

/** A hub that says nothing for so long (it speaks every 5 s) is not taken for live. */
const SILENCE_MS = 8_000;

/** A project that was just found may take so long to join before it counts as away. */
const JOINING_MS = 2_000;

interface Followed {
  readonly follower: ProjectFollower;
  /** Heartbeats from before the first frame of heartbeats, by session_id. */
  readonly earlier: Map<string, HeartbeatInfo>;
  isInStep: boolean;
  hasBeenInStep: boolean;
  /** On the monotonic clock. */
  readonly followedAt: number;
  /** Since when it is not in step: since the connection was lost, or since it is followed. Hub's time. */
  since: number;
  cause: string | undefined;
}

export interface FollowingOptions {
  readonly hub: HubAddress;
  /** Undefined: all projects. */
  readonly projectId: string | undefined;
  readonly filter: Filter;
  /** The next picture may be another one. */
  readonly changed: () => void;
  /** It will not get better by waiting. */
  readonly failed: (error: CliError) => void;
}

/** One project, or all of a hub, kept in step; a picture of them at any time. */
export class Following {
  readonly #options: FollowingOptions;
  readonly #finder: ProjectFinder;
  readonly #followed = new Map<string, Followed>();
  readonly #known = new Set<string>();
  /** Of the last look that worked, hub's time. */
  #lookedAt: number | undefined;
  /** Why the last one did not. */
  #notLooked: string | undefined;

  constructor(options: FollowingOptions) {
    this.#options = options;
    const { hub, projectId, filter } = options;
    this.#finder = new ProjectFinder({
      hub,
      projectId,
      endedWithinMs: filter.endedWithinMs,
      found: (sessions) => this.#found(sessions),
    });
    if (projectId !== undefined) this.#follow(projectId);
  }

  /** Goes on until `close`, also while the hub is away. */
  async start(): Promise<void> {
    await this.#finder.keepLooking((error) => this.#looked(error));
  }

  /** Settles with everything in step; rejects when the hub is not there, or says no. */
  async once(timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    await this.#finder.look();
    this.#looked();
    for (const { follower } of this.#followed.values()) {
      try {
        const left = Math.max(0, deadline - performance.now());
        await follower.waitFor(({ state }) => state.name === "ready", { timeoutMs: left });
      } catch {
        throw new CliError(`project ${follower.projectId} could not be followed in time`, EXIT.unreachable);
      }
    }
  }

  picture(): Picture {
    const at = this.#hubTime();
    const rows = [...this.#followed.values()].flatMap((followed) => rowsOf(followed));
    return {
      at,
      url: this.#options.hub.url,
      projectId: this.#options.projectId,
      projects: { followed: this.#followed.size, known: this.#known.size },
      connection: this.#connection(at),
      ...select(rows, this.#options.filter, at),
    };
  }

  close(): void {
    this.#finder.close();
    for (const { follower } of this.#followed.values()) follower.close();
  }

  #looked(error?: unknown): void {
    if (error === undefined) {
      this.#lookedAt = this.#hubTime();
      this.#notLooked = undefined;
    } else if (error instanceof HubRefusal && !ERRORS[error.code as ErrorCode]?.retryable) {
      this.#options.failed(error);
    } else {
      this.#notLooked = (error as Error).message;
    }
    this.#options.changed();
  }

  #found(sessions: readonly ShownSession[]): void {
    for (const { project_id, session_id, last_heartbeat_at, last_activity_at, heartbeat } of sessions) {
      this.#follow(project_id);
      // Later on, frames of heartbeats tell.
      if (last_heartbeat_at === undefined || this.#lookedAt !== undefined) continue;
      const activity = last_activity_at === undefined ? {} : { last_activity_at };
      this.#followed.get(project_id)?.earlier.set(session_id, { last_heartbeat_at, ...activity, ...heartbeat });
    }
    this.#options.changed();
  }

  #follow(projectId: string): void {
    this.#known.add(projectId);
    if (this.#followed.has(projectId) || this.#followed.size >= MOST_PROJECTS) return;
    const { url, key, network } = this.#options.hub;
    const follower = followProject({ url, key, network, projectId, heartbeats: true, silenceTimeoutMs: SILENCE_MS });
    const followed: Followed = {
      follower,
      earlier: new Map(),
      isInStep: false,
      hasBeenInStep: false,
      followedAt: performance.now(),
      since: this.#hubTime(),
      cause: undefined,
    };
    this.#followed.set(projectId, followed);
    follower.on("state", (state) => this.#stateChanged(followed, state));
    for (const event of ["change", "reset", "heartbeats"] as const) follower.on(event, this.#options.changed);
  }

  #stateChanged(followed: Followed, state: ConnectionState): void {
    if (followed.isInStep) followed.since = this.#hubTime();
    followed.isInStep = state.name === "ready";
    if (followed.isInStep) {
      followed.hasBeenInStep = true;
      followed.cause = undefined;
    } else if (state.name === "waiting") {
      followed.cause = state.cause.message;
    } else if (state.name === "stopped" && state.error !== undefined) {
      this.#options.failed(this.#explain(state.error));
    }
    this.#options.changed();
  }

  #explain({ code, message }: StateHubError): CliError {
    return code === "UNAUTHENTICATED"
      ? new CliError(badKey(this.#options.hub), EXIT.noKey)
      : new CliError(`the hub refused: ${printable(message)} (${code})`);
  }

  #connection(at: number): Connection {
    const all = [...this.#followed.values()];
    const cause = this.#notLooked ?? all.find((one) => one.cause !== undefined)?.cause;
    const because = cause === undefined ? {} : { cause };
    const isComplete = this.#options.projectId !== undefined || this.#lookedAt !== undefined;
    if (!isComplete || (all.length > 0 && !all.some((one) => one.hasBeenInStep)))
      return { state: "connecting", ...because };
    // With nothing to follow, looking for projects is all the connection there is.
    if (all.length === 0 && this.#notLooked !== undefined) {
      const since = this.#lookedAt ?? at;
      return { state: "away", since, asOf: since, projects: 0, ...because };
    }
    // A new project takes a moment to join; there is nothing old of it to be taken for new.
    const isJoining = (one: Followed) => !one.hasBeenInStep && performance.now() - one.followedAt < JOINING_MS;
    const away = all.filter((one) => !one.isInStep && !isJoining(one));
    if (away.length === 0) return { state: "live", ...because };
    return {
      state: "away",
      since: Math.min(...away.map(({ since }) => since)),
      asOf: Math.min(...away.map(({ follower, since }) => follower.asOf ?? since)),
      projects: away.length,
      ...because,
    };
  }

  #hubTime(): number {
    for (const { follower } of this.#followed.values()) if (follower.hubTime !== undefined) return follower.hubTime;
    return Date.now();
  }
}

function rowsOf({ follower, earlier, isInStep }: Followed): WatchRow[] {
  const tasks = new Map<string, Task[]>();
  for (const task of follower.tasks.values()) {
    const own = tasks.get(task.session_id);
    if (own === undefined) tasks.set(task.session_id, [task]);
    else own.push(task);
  }
  return [...follower.sessions.values()].map((session) => {
    const heartbeat = follower.beats.get(session.session_id) ?? earlier.get(session.session_id);
    const display = displayState(session, heartbeat, follower.stalledAfterMs);
    return rowOf({ session, display, heartbeat, tasks: tasks.get(session.session_id) ?? [], isLive: isInStep });
  });
}
