import type { ChangesFrame, PositionFrame, ProjectReset } from "../../shared/messages/frames.ts";
import type { Position } from "../../shared/position.ts";
import type { Project } from "../writer/project.ts";
import type { Peer } from "./handshake.ts";
import type { Outbox } from "./outbox.ts";

/** The way to one viewer, whatever carries it: a Socket.IO connection, or a stream of server-sent events. */
export interface ViewerLink {
  readonly outbox: Outbox;
  /** Too much waits to be read; may end the connection. */
  isSlow(): boolean;
  send(event: "changes" | "position", frame: ChangesFrame | PositionFrame): void;
  /** What the viewer holds cannot be continued; `head` is where the project stands. */
  reset(message: ProjectReset, head: Position): void;
  /** A reset is followed by the frames after `head`; else the viewer has to join anew. */
  readonly goesOnAfterReset: boolean;
  /** Synchronous: the next frame of the project goes this way. */
  enterRooms(rooms: readonly [string, ...string[]]): void;
  leaveRoom(room: string): void;
}

/** A project that a viewer follows. */
interface Joined {
  readonly project: Project;
  readonly heartbeats: boolean;
}

/** One viewer and the projects it follows. */
export class ViewerConnection {
  readonly id: string;
  readonly peer: Peer;
  readonly link: ViewerLink;
  readonly joined = new Map<string, Joined>();
  /** Joins under way, for the limit of rooms; a later join or leave of the same project makes an earlier one void. */
  readonly joining = new Map<string, symbol>();
  isClosed = false;

  constructor(id: string, peer: Peer, link: ViewerLink) {
    this.id = id;
    this.peer = peer;
    this.link = link;
  }
}

/** Rooms are named by the hub alone; the prefix keeps them apart from the rooms that sockets own by their ids. */
export function projectRoom(projectId: string): string {
  return `p:${projectId}`;
}

/** The viewers of a project that asked for heartbeats. */
export function heartbeatRoom(projectId: string): string {
  return `h:${projectId}`;
}
