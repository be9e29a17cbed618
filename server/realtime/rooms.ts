import type { ChangesFrame, HeartbeatInfo, HeartbeatsFrame, PositionFrame } from "../../shared/messages/frames.ts";
import type { BOUNDS } from "../bounds.ts";
import type { Entry } from "../domain/records.ts";
import { changesFrame } from "../following/frames.ts";
import type { ChangeLog, Clock, Logger, Projections } from "../ports.ts";
import type { Project } from "../writer/project.ts";
import type { Projects } from "../writer/projects.ts";
import { heartbeatRoom, projectRoom, type ViewerConnection } from "./viewer-connection.ts";
import { ViewersBehind } from "./viewers-behind.ts";

/** Sends to every viewer in one room on this hub; a room is always named, since an empty list would mean everybody. */
export interface RoomEmitter {
  isEmpty(room: string): boolean;
  emit(room: string, event: "changes" | "position", frame: ChangesFrame | PositionFrame): void;
  /** May be dropped for a viewer that is not ready to receive. */
  emitVolatile(room: string, event: "heartbeats", frame: HeartbeatsFrame): void;
  /** To those of these viewers that it can reach; encoded once. */
  emitTo(ids: readonly [string, ...string[]], event: "changes", frame: ChangesFrame): void;
}

interface Options {
  readonly emitter: RoomEmitter;
  readonly projects: Projects;
  readonly changeLog: ChangeLog;
  readonly projections: Projections;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
}

/** What the viewers of a project get: one frame per commit, and its position when nothing happens. */
export class Rooms {
  readonly #options: Options;
  /** Those who are sent every entry. */
  readonly #inStep = new Map<Project, Set<ViewerConnection>>();
  readonly #behind: ViewersBehind;
  /** Monotonic time of the last frame, per project with viewers. */
  readonly #lastFrame = new Map<Project, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: Options) {
    this.#options = options;
    this.#timer = setInterval(() => this.#tellPositions(), options.bounds.positionEveryMs / 5);
    this.#behind = new ViewersBehind(options, {
      enter: (project, viewers, frame) => this.#return(project, viewers, frame),
      reset: (project, viewer) => this.#resetBehind(project, viewer),
    });
  }

  /** How viewers that read too slowly fared. */
  get slow(): ViewersBehind["counts"] {
    return this.#behind.counts;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#behind.stop();
  }

  /** The viewer was sent everything up to the head; from now on it gets every frame. */
  enter(project: Project, viewer: ViewerConnection, heartbeats: boolean): void {
    viewer.joined.set(project.id, { project, heartbeats });
    project.followers += 1;
    this.#enter(project, viewer);
  }

  leave(projectId: string, viewer: ViewerConnection): void {
    const joined = viewer.joined.get(projectId);
    if (joined === undefined) return;
    viewer.joined.delete(projectId);
    joined.project.followers -= 1;
    this.#behind.remove(joined.project, viewer);
    this.#stepOut(joined.project, viewer);
  }

  /** What the viewer holds cannot be continued: it joins anew, or goes on from the head. */
  reset(project: Project, viewer: ViewerConnection, heartbeats: boolean, reason: string): void {
    this.leave(project.id, viewer);
    viewer.link.reset({ project_id: project.id, reason }, project.head);
    if (viewer.link.goesOnAfterReset) this.enter(project, viewer, heartbeats);
  }

  onEntry(project: Project, entry: Entry): void {
    const viewers = this.#inStep.get(project);
    for (const viewer of viewers ?? []) {
      if (viewer.link.outbox.isDrained || !viewer.link.isSlow() || viewer.isClosed) continue;
      this.#stepOut(project, viewer);
      this.#behind.add(project, viewer, entry);
    }
    this.#behind.note(project, entry);
    if (viewers === undefined || viewers.size === 0) return;
    const { emitter, clock } = this.#options;
    emitter.emit(projectRoom(project.id), "changes", changesFrame(entry));
    this.#lastFrame.set(project, clock.monotonic());
  }

  /** The project has begun anew: nobody can be told what came between. */
  onAnew(project: Project): void {
    const viewers = [...(this.#inStep.get(project) ?? []), ...this.#behind.viewersOf(project)];
    for (const viewer of viewers) {
      const heartbeats = viewer.joined.get(project.id)?.heartbeats === true;
      this.reset(project, viewer, heartbeats, "the numbering of the project has begun anew");
    }
  }

  onHeartbeats(projectId: string, at: string, sessions: Readonly<Record<string, HeartbeatInfo>>): void {
    const room = heartbeatRoom(projectId);
    const { emitter } = this.#options;
    if (!emitter.isEmpty(room)) emitter.emitVolatile(room, "heartbeats", { project_id: projectId, at, sessions });
  }

  #enter(project: Project, viewer: ViewerConnection): void {
    let viewers = this.#inStep.get(project);
    if (viewers === undefined) {
      viewers = new Set();
      this.#inStep.set(project, viewers);
    }
    viewers.add(viewer);
    const room = projectRoom(project.id);
    const hears = viewer.joined.get(project.id)?.heartbeats === true;
    viewer.link.enterRooms(hears ? [room, heartbeatRoom(project.id)] : [room]);
    if (!this.#lastFrame.has(project)) this.#lastFrame.set(project, this.#options.clock.monotonic());
  }

  /** Out of the room: neither frames nor positions nor heartbeats. */
  #stepOut(project: Project, viewer: ViewerConnection): void {
    const viewers = this.#inStep.get(project);
    if (viewers?.delete(viewer) && viewers.size === 0) {
      this.#inStep.delete(project);
      this.#lastFrame.delete(project);
    }
    viewer.link.leaveRoom(projectRoom(project.id));
    viewer.link.leaveRoom(heartbeatRoom(project.id));
  }

  #return(project: Project, viewers: readonly ViewerConnection[], frame: ChangesFrame): void {
    const [first, ...others] = viewers.map((viewer) => viewer.id);
    if (first !== undefined) this.#options.emitter.emitTo([first, ...others], "changes", frame);
    for (const viewer of viewers) this.#enter(project, viewer);
  }

  #resetBehind(project: Project, viewer: ViewerConnection): void {
    const heartbeats = viewer.joined.get(project.id)?.heartbeats === true;
    this.reset(project, viewer, heartbeats, "too much was committed while the frames were not read");
  }

  #tellPositions(): void {
    const { emitter, clock, bounds } = this.#options;
    const now = clock.monotonic();
    for (const [project, at] of this.#lastFrame) {
      if (now - at < bounds.positionEveryMs) continue;
      const { epoch, seq } = project.head;
      emitter.emit(projectRoom(project.id), "position", { project_id: project.id, epoch, seq });
      this.#lastFrame.set(project, now);
    }
  }
}
