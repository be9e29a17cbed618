import type { ChangesFrame, HeartbeatsFrame, PositionFrame } from "../../shared/messages/frames.ts";
import type { EventStream } from "./event-stream.ts";
import { eventText, spanOf } from "./event-text.ts";
import type { RoomEmitter } from "./rooms.ts";

/** Rooms of event streams; what goes to several is encoded once. As with sockets, each is alone in a room of its id. */
export class EventRooms implements RoomEmitter {
  /** By the ids of the viewers. */
  readonly #rooms = new Map<string, Map<string, EventStream>>();

  enter(rooms: readonly string[], id: string, stream: EventStream): void {
    for (const room of rooms) {
      const members = this.#rooms.get(room) ?? new Map<string, EventStream>();
      this.#rooms.set(room, members.set(id, stream));
    }
  }

  leave(room: string, id: string): void {
    const members = this.#rooms.get(room);
    if (members?.delete(id) && members.size === 0) this.#rooms.delete(room);
  }

  isEmpty(room: string): boolean {
    return !this.#rooms.has(room);
  }

  emit(room: string, event: "changes" | "position", frame: ChangesFrame | PositionFrame): void {
    const text = eventText(event, frame, spanOf(frame).to);
    for (const stream of this.#in(room)) stream.follow(event, frame, text);
  }

  emitVolatile(room: string, event: "heartbeats", frame: HeartbeatsFrame): void {
    const text = eventText(event, frame);
    for (const stream of this.#in(room)) if (stream.isDrained) stream.write(text);
  }

  emitTo(ids: readonly string[], event: "changes", frame: ChangesFrame): void {
    const streams = ids.flatMap((id) => this.#in(id));
    if (streams.length === 0) return;
    const text = eventText(event, frame, spanOf(frame).to);
    for (const stream of streams) stream.follow(event, frame, text);
  }

  /** A copy: who cannot be written to may leave meanwhile. */
  #in(room: string): EventStream[] {
    return [...(this.#rooms.get(room)?.values() ?? [])];
  }
}

/** Rooms whose viewers come by several ways. */
export function together(emitters: readonly RoomEmitter[]): RoomEmitter {
  const inhabited = (room: string) => emitters.filter((emitter) => !emitter.isEmpty(room));
  return {
    isEmpty: (room) => inhabited(room).length === 0,
    emit: (room, event, frame) => {
      for (const emitter of inhabited(room)) emitter.emit(room, event, frame);
    },
    emitVolatile: (room, event, frame) => {
      for (const emitter of inhabited(room)) emitter.emitVolatile(room, event, frame);
    },
    emitTo: (ids, event, frame) => {
      for (const emitter of emitters) emitter.emitTo(ids, event, frame);
    },
  };
}
