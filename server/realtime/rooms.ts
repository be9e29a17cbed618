import type { HeartbeatInfo } from "../../shared/messages/frames.ts";
import type { BOUNDS } from "../bounds.ts";
import type { Entry } from "../domain/records.ts";
import { changesFrame } from "../following/frames.ts";
import type { Clock } from "../ports.ts";
import type { Project } from "../writer/project.ts";
import { heartbeatRoom, projectRoom } from "./viewer-connection.ts";

/** Sends to every viewer in one room on this hub; a room is always named, since an empty list would mean everybody. */
export interface RoomEmitter {
  isEmpty(room: string): boolean;
  emit(room: string, event: "changes" | "position", message: object): void;
  /** May be dropped for a viewer that is not ready to receive. */
  emitVolatile(room: string, event: "heartbeats", message: object): void;
}

interface Options {
  readonly emitter: RoomEmitter;
  readonly clock: Clock;
  readonly bounds: typeof BOUNDS;
}

/** What the viewers of a project get: one frame per commit, and its position when nothing happens. */
export class Rooms {
  readonly #options: Options;
  /** Monotonic time of the last frame, per project with viewers. */
  readonly #lastFrame = new Map<Project, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: Options) {
    this.#options = options;
    this.#timer = setInterval(() => this.#tellPositions(), options.bounds.positionEveryMs / 5);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** A viewer entered: its project's positions are told from now on. */
  watch(project: Project): void {
    if (!this.#lastFrame.has(project)) this.#lastFrame.set(project, this.#options.clock.monotonic());
  }

  onEntry(project: Project, entry: Entry): void {
    const { emitter, clock } = this.#options;
    const room = projectRoom(project.id);
    if (emitter.isEmpty(room)) return;
    emitter.emit(room, "changes", changesFrame(entry));
    this.#lastFrame.set(project, clock.monotonic());
  }

  onHeartbeats(projectId: string, at: string, sessions: Readonly<Record<string, HeartbeatInfo>>): void {
    const room = heartbeatRoom(projectId);
    const { emitter } = this.#options;
    if (!emitter.isEmpty(room)) emitter.emitVolatile(room, "heartbeats", { project_id: projectId, at, sessions });
  }

  #tellPositions(): void {
    const { emitter, clock, bounds } = this.#options;
    const now = clock.monotonic();
    for (const [project, at] of this.#lastFrame) {
      const room = projectRoom(project.id);
      if (emitter.isEmpty(room)) {
        this.#lastFrame.delete(project);
      } else if (now - at >= bounds.positionEveryMs) {
        const { epoch, seq } = project.head;
        emitter.emit(room, "position", { project_id: project.id, epoch, seq });
        this.#lastFrame.set(project, now);
      }
    }
  }
}
