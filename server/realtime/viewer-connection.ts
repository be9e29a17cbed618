import type { ChangesFrame, ProjectReset } from "../../shared/messages/frames.ts";
import type { Project } from "../writer/project.ts";
import type { Peer } from "./handshake.ts";
import type { Outbox } from "./outbox.ts";

/** What a viewer's socket has to be able to do. */
export interface ViewerSocket {
  readonly outbox: Outbox;
  /** Too much waits to be read; may end the connection. */
  isSlow(): boolean;
  sendChanges(frame: ChangesFrame): void;
  reset(message: ProjectReset): void;
  /** Synchronous: the next frame of the project reaches this socket. */
  enterRooms(rooms: readonly [string, ...string[]]): void;
  leaveRoom(room: string): void;
}

/** A project that a viewer follows. */
interface Joined {
  readonly project: Project;
  readonly heartbeats: boolean;
}

/** One viewer's connection and the projects it follows. */
export class ViewerConnection {
  readonly id: string;
  readonly peer: Peer;
  readonly socket: ViewerSocket;
  readonly joined = new Map<string, Joined>();
  /** Joins under way, for the limit of rooms; a later join or leave of the same project makes an earlier one void. */
  readonly joining = new Map<string, symbol>();
  isClosed = false;

  constructor(id: string, peer: Peer, socket: ViewerSocket) {
    this.id = id;
    this.peer = peer;
    this.socket = socket;
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
