import { DEFAULT_STALLED_AFTER_MS, type Display, displayState } from "../shared/display.ts";
import type { Session, Task } from "../shared/entities.ts";
import { DEFAULT_PROJECT_ID, Id } from "../shared/ids.ts";
import type {
  ChangesFrame,
  HeartbeatInfo,
  HeartbeatsFrame,
  ModeFrame,
  PositionFrame,
} from "../shared/messages/frames.ts";
import type { Welcome } from "../shared/messages/notices.ts";
import type { ProjectJoined, SnapshotReason } from "../shared/messages/project-join.ts";
import type { SnapshotPage } from "../shared/messages/project-snapshot.ts";
import type { Position } from "../shared/position.ts";
import { VIEWERS_NAMESPACE } from "../shared/protocol.ts";
import { backoffMs } from "./backoff.ts";
import { type Cancel, type Clock, systemClock } from "./clock.ts";
import { Connection } from "./connection.ts";
import type { ConnectionState } from "./connection-state.ts";
import { Emitter } from "./emitter.ts";
import { isWorthRetrying, StateHubError } from "./errors.ts";
import { HubRotation } from "./hub-rotation.ts";
import { hubUrls } from "./hub-urls.ts";
import type { KeySource } from "./key-source.ts";
import { Mirror, type MirrorChange, taskMapKey, type Verdict } from "./mirror.ts";
import type { Network } from "./network.ts";
import { socketTransport } from "./socket-transport.ts";
import type { Transport } from "./transport.ts";

export interface FollowOptions {
  /**
   * e.g. `http://127.0.0.1:3000`. Of several hubs (a list, or a text with commas) each client tries them in an order of its
   * own; when one fails, the next is tried at once.
   */
  readonly url: string | readonly string[];
  /** API key or token that may see the project; or what is asked for one, at each connect and before one expires. */
  readonly key: KeySource;
  /** Default `default`. */
  readonly projectId?: string;
  /**
   * Continue from a position of an earlier run: what was missed since comes as `change` events. The maps then hold only
   * what has changed since (`isComplete` is false), unless the hub cannot continue from there and sends a snapshot.
   */
  readonly since?: Position;
  /** Also receive what agents say between changes (progress, activity, metrics). */
  readonly heartbeats?: boolean;
  /** Private certificate authority or HTTP proxy: `nodeNetwork()` of `@state-hub/client/network`. */
  readonly network?: Network;
  /** Default 10 s. */
  readonly connectTimeoutMs?: number;
  /** Default 20 s. */
  readonly requestTimeoutMs?: number;
  /** Default 15 s, three times the hub's `position`: with neither changes nor position for so long it joins again. */
  readonly silenceTimeoutMs?: number;
}

export interface FollowerEvents {
  state: ConnectionState;
  /**
   * One committed change; in order, none twice, none missing between two `reset`s. Of those that this program was too slow
   * to read, only the newest of each entity, with its whole `state`.
   */
  change: MirrorChange;
  /** In step with the hub: after the first join and after every one that closes a gap. */
  synced: Position;
  /**
   * The maps were replaced as a whole, for the first time (`first`) or because the missed changes can no longer be had
   * one by one: those were not, and will not be, told as `change` events.
   */
  reset: { readonly reason: SnapshotReason; readonly from: Position; readonly to: Position };
  heartbeats: HeartbeatsFrame;
  /** How quickly changes made on other hubs arrive here. */
  mode: ModeFrame;
  error: StateHubError;
}

/** Starts at once and keeps trying while the hub is away; throws only on options that can never work. */
export function followProject(options: FollowOptions): ProjectFollower {
  const urls = hubUrls(options.url);
  const projectId = Id.safeParse(options.projectId ?? DEFAULT_PROJECT_ID);
  if (!projectId.success) throw new StateHubError("VALIDATION", "projectId is no valid id");
  const transport = socketTransport({
    urls,
    namespace: VIEWERS_NAMESPACE,
    key: options.key,
    connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
    network: options.network,
  });
  return new ProjectFollower(options, transport, systemClock);
}

/** A project's sessions and tasks, always true as of `position`. */
export class ProjectFollower extends Emitter<FollowerEvents> {
  readonly projectId: string;
  /** Settles when the maps are in step for the first time; rejects when they never will be. */
  readonly ready: Promise<Position>;
  /** The newest heartbeat of each session, when asked for; never logged, some may be missing. */
  readonly beats: ReadonlyMap<string, HeartbeatInfo>;
  readonly #beats = new Map<string, HeartbeatInfo>();
  readonly #clock: Clock;
  readonly #connection: Connection;
  readonly #mirror: Mirror;
  readonly #wantsHeartbeats: boolean;
  readonly #silenceTimeoutMs: number;
  readonly #watchers = new Set<() => void>();
  #mode: ModeFrame = { mode: "live" };
  #stalledAfterMs = DEFAULT_STALLED_AFTER_MS;
  #asOf: number | undefined;
  /** The hub's time of day, and ours when it came. */
  #told: { readonly hubTime: number; readonly at: number } | undefined;
  #silence: Cancel | undefined;
  /** Refused joins and pages since the last success. */
  #attempts = 0;
  /** Joins that had to follow soon after another; see `#rejoin`. */
  #rejoins = 0;
  #rejoinedAt = Number.NEGATIVE_INFINITY;
  /** Counts joins, so that a late answer cannot reach the one after. */
  #join = 0;
  /** As of the last event, so that a `reset` can say what lies between. */
  #toldPosition: Position;

  /** @internal use `followProject` */
  constructor(options: FollowOptions, transport: Transport, clock: Clock) {
    super();
    this.projectId = options.projectId ?? DEFAULT_PROJECT_ID;
    this.beats = this.#beats;
    this.#clock = clock;
    this.#wantsHeartbeats = options.heartbeats ?? false;
    this.#silenceTimeoutMs = options.silenceTimeoutMs ?? 15_000;
    this.#mirror = new Mirror(options.since);
    this.#toldPosition = this.#mirror.position;
    this.ready = new Promise((resolve, reject) => {
      const offSynced = this.once("synced", (position) => {
        offState();
        resolve(position);
      });
      const offState = this.on("state", (state) => {
        if (state.name !== "stopped") return;
        offSynced();
        offState();
        reject(state.error ?? closedError());
      });
    });
    this.ready.catch(() => {});
    const timings = {
      connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
      requestTimeoutMs: options.requestTimeoutMs ?? 20_000,
    };
    const hubs = new HubRotation(hubUrls(options.url), clock);
    this.#connection = new Connection(transport, hubs, clock, timings, {
      linked: () => this.#joinProject(),
      unlinked: () => this.#mirror.detach(),
      welcomed: (welcome) => this.#welcomed(welcome),
      received: (event, payload) => this.#received(event, payload),
      stateChanged: (state) => this.#stateChanged(state),
    });
    this.#connection.start();
  }

  /** By session_id. */
  get sessions(): ReadonlyMap<string, Session> {
    return this.#mirror.sessions;
  }

  /** By `taskKey`: two sessions may both have a task of that id. */
  get tasks(): ReadonlyMap<string, Task> {
    return this.#mirror.tasks;
  }

  task(sessionId: string, taskId: string): Task | undefined {
    return this.#mirror.tasks.get(taskMapKey(sessionId, taskId));
  }

  /**
   * What a person should see for a session, as of `position`; undefined when it is not held. `stalled` needs the
   * heartbeats (`heartbeats: true`), and comes only while they do.
   */
  display(sessionId: string): Display | undefined {
    const session = this.sessions.get(sessionId);
    return session && displayState(session, this.#beats.get(sessionId), this.#stalledAfterMs);
  }

  /** How long the work of an active session may stand still before it shows as `stalled`, as the hub has it; 0: for ever. */
  get stalledAfterMs(): number {
    return this.#stalledAfterMs;
  }

  /**
   * Milliseconds since 1970 on the hub's clock, to say how long ago something was: this machine's clock may be wrong.
   * Undefined until a hub has answered.
   */
  get hubTime(): number | undefined {
    return this.#told && this.#told.hubTime + (this.#clock.now() - this.#told.at);
  }

  /**
   * Hub's time, milliseconds since 1970, at which the maps were last known to hold everything: when a hub last spoke
   * while they were in step. Undefined until they are for the first time.
   */
  get asOf(): number | undefined {
    return this.#asOf;
  }

  /** The last change that the maps contain. */
  get position(): Position {
    return this.#mirror.position;
  }

  get isComplete(): boolean {
    return this.#mirror.isComplete;
  }

  get state(): ConnectionState {
    return this.#connection.state;
  }

  /** Address of the hub that is connected to, or tried next. */
  get url(): string {
    return this.#connection.url;
  }

  /** `degraded` while changes made on other hubs arrive late. */
  get mode(): ModeFrame["mode"] {
    return this.#mode.mode;
  }

  /**
   * Settles with this follower as soon as the predicate holds, now or after a later event; rejects with `TIMEOUT`, or
   * with the reason why following ended.
   */
  waitFor(predicate: (follower: this) => boolean, options: { readonly timeoutMs?: number } = {}): Promise<this> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        cancel();
        this.#watchers.delete(check);
        settle();
      };
      const check = () => {
        try {
          if (predicate(this)) finish(() => resolve(this));
          else if (this.state.name === "stopped") {
            const error = this.state.error ?? closedError();
            finish(() => reject(error));
          }
        } catch (error) {
          finish(() => reject(error));
        }
      };
      const { timeoutMs } = options;
      const cancel =
        timeoutMs === undefined
          ? () => {}
          : this.#clock.after(timeoutMs, () => {
              const { epoch, seq } = this.position;
              const where = `${this.state.name} at ${epoch}:${seq}`;
              finish(() => reject(new StateHubError("TIMEOUT", `did not happen within ${timeoutMs} ms (${where})`)));
            });
      this.#watchers.add(check);
      check();
    });
  }

  close(): void {
    this.#connection.stop("closed");
  }

  #welcomed({ time, stalled_after_ms = DEFAULT_STALLED_AFTER_MS }: Welcome): void {
    this.#stalledAfterMs = stalled_after_ms;
    this.#told = { hubTime: Date.parse(time), at: this.#clock.now() };
    // What the hub before this one said; this one says so itself if it is not live ([F17]).
    if (this.#mode.mode !== "live") this.#modeTold({ mode: "live" });
  }

  #joinProject(): void {
    const since = this.#mirror.beginJoin();
    this.#join += 1;
    const join = this.#join;
    const request = {
      project_id: this.projectId,
      ...(since === undefined ? {} : { since }),
      ...(this.#wantsHeartbeats ? { heartbeats: true } : {}),
    };
    this.#connection.request<ProjectJoined>("project:join", request, (answer) => {
      if (join !== this.#join) return;
      if (answer instanceof StateHubError) this.#notJoined(answer);
      else this.#follow(this.#mirror.joined(answer));
    });
  }

  #notJoined(error: StateHubError): void {
    if (!isWorthRetrying(error)) {
      this.#connection.stop("failed", error);
      return;
    }
    this.#attempts += 1;
    this.#connection.afterOnLink(this.#connection.retryPauseMs(this.#attempts, error), () => this.#joinProject());
  }

  #fetchPage(cursor: string): void {
    const join = this.#join;
    this.#connection.request<SnapshotPage>("project:snapshot", { project_id: this.projectId, cursor }, (answer) => {
      if (join !== this.#join) return;
      if (!(answer instanceof StateHubError)) this.#follow(this.#mirror.page(answer));
      else if (answer.code === "GONE") this.#rejoin();
      else if (isWorthRetrying(answer)) {
        this.#attempts += 1;
        this.#connection.afterOnLink(this.#connection.retryPauseMs(this.#attempts, answer), () => {
          if (join === this.#join) this.#fetchPage(cursor);
        });
      } else this.#connection.stop("failed", answer);
    });
  }

  #received(event: string, payload: unknown): void {
    if (event === "mode") {
      this.#modeTold(payload as ModeFrame);
      return;
    }
    if ((payload as { project_id?: unknown } | undefined)?.project_id !== this.projectId) return;
    switch (event) {
      case "changes":
        this.#follow(this.#mirror.frame(payload as ChangesFrame));
        this.#heard();
        return;
      case "position":
        this.#follow(this.#mirror.positionTold(payload as PositionFrame));
        this.#heard();
        return;
      case "project:reset":
        this.#follow(this.#mirror.reset());
        return;
      case "heartbeats":
        if (this.#mirror.isLive) this.#asOf = this.hubTime;
        this.#heartbeats(payload as HeartbeatsFrame);
    }
  }

  #modeTold(mode: ModeFrame): void {
    this.#mode = mode;
    this.emit("mode", mode);
  }

  #follow(verdict: Verdict): void {
    switch (verdict.next) {
      case "page":
        this.#fetchPage(verdict.cursor);
        return;
      case "rejoin":
        this.#rejoin();
        return;
      case "replaced": {
        this.#forgetBeats();
        this.emit("reset", { reason: verdict.reason, from: this.#toldPosition, to: verdict.at });
        this.#tell(verdict.changes);
        if (verdict.rejoin === undefined) this.#inStep();
        else this.#rejoin();
        return;
      }
      case "go on":
        this.#tell(verdict.changes);
        if (this.#mirror.isLive && this.state.name === "opening") this.#inStep();
        else if (verdict.changes.length > 0) this.#look();
    }
  }

  #tell(changes: readonly MirrorChange[]): void {
    for (const change of changes) this.emit("change", change);
    this.#toldPosition = this.position;
  }

  #inStep(): void {
    this.#attempts = 0;
    this.#connection.opened();
    this.#heard();
    this.emit("synced", this.position);
    this.#look();
  }

  /** At once, but with growing pauses when it happens again soon: a hub whose answers never fit is not asked in a loop. */
  #rejoin(): void {
    this.#silence?.();
    this.#mirror.detach();
    this.#join += 1;
    this.#connection.reopen();
    const now = this.#clock.now();
    this.#rejoins = now - this.#rejoinedAt < CALM_MS ? this.#rejoins + 1 : 0;
    this.#rejoinedAt = now;
    if (this.#rejoins === 0) this.#joinProject();
    else {
      const pause = backoffMs(this.#rejoins, this.#clock.random());
      this.#connection.afterOnLink(pause, () => this.#joinProject());
    }
  }

  #heard(): void {
    this.#silence?.();
    if (!this.#mirror.isLive) return;
    this.#asOf = this.hubTime;
    this.#silence = this.#connection.afterOnLink(this.#silenceTimeoutMs, () => this.#rejoin());
  }

  #heartbeats(frame: HeartbeatsFrame): void {
    for (const [sessionId, info] of Object.entries(frame.sessions)) {
      if (this.sessions.has(sessionId) || !this.isComplete) this.#beats.set(sessionId, info);
    }
    this.emit("heartbeats", frame);
    this.#look();
  }

  #forgetBeats(): void {
    for (const sessionId of this.#beats.keys()) if (!this.sessions.has(sessionId)) this.#beats.delete(sessionId);
  }

  #stateChanged(state: ConnectionState): void {
    if (state.name === "stopped" && state.error !== undefined) this.emit("error", state.error);
    this.emit("state", state);
    this.#look();
  }

  #look(): void {
    for (const check of [...this.#watchers]) check();
  }
}

/** A join that held for so long counts as good. */
const CALM_MS = 10_000;

function closedError(): StateHubError {
  return new StateHubError("CLOSED", "following was ended");
}
