import type { ServerResponse } from "node:http";
import { expect, test } from "vitest";
import { EventRooms } from "../../server/realtime/event-rooms.ts";
import { EventStream } from "../../server/realtime/event-stream.ts";
import type { ChangesFrame } from "../../shared/messages/frames.ts";
import { eventsIn } from "../support/events.ts";

/** An answer that nobody reads. */
class Answer {
  text = "";
  setTimeout(): void {}
  writeHead(): void {}
  write(chunk: Buffer): void {
    this.text += chunk.toString();
  }
  get told(): string[] {
    return eventsIn(this.text).map(({ event, id }) => `${event} ${id}`);
  }
}

function open(rooms: EventRooms, id: string): [EventStream, Answer] {
  const answer = new Answer();
  const stream = new EventStream(answer as unknown as ServerResponse, "p");
  rooms.enter([id, "p:p"], id, stream);
  return [stream, answer];
}

const frame = (epoch: string, from_seq: number, to_seq: number): ChangesFrame => ({
  project_id: "p",
  epoch,
  from_seq,
  to_seq,
  changes: [],
});

test("[R59] no id passes over what was not sent: where the log goes on elsewhere, a reset comes first", () => {
  const rooms = new EventRooms();
  const [stream, answer] = open(rooms, "one");
  stream.follow("position", { project_id: "p", epoch: "", seq: 0 });
  rooms.emit("p:p", "changes", frame("a", 1, 3));
  rooms.emit("p:p", "position", { project_id: "p", epoch: "a", seq: 3 });
  expect(answer.told).toEqual(["position :0", "changes a:3", "position a:3"]);
  rooms.emit("p:p", "changes", frame("a", 6, 7));
  rooms.emit("p:p", "changes", frame("a", 8, 8));
  expect(answer.told.slice(3)).toEqual(["project:reset a:5", "changes a:7", "changes a:8"]);
  rooms.emit("p:p", "position", { project_id: "p", epoch: "b", seq: 8 });
  expect(answer.told.slice(6)).toEqual(["project:reset b:8", "position b:8"]);
});

test("[R57] a frame reaches those in the room, or those it is for, and nobody else", () => {
  const rooms = new EventRooms();
  const [, one] = open(rooms, "one");
  const [, other] = open(rooms, "other");
  rooms.emitTo(["one", "nobody"], "changes", frame("a", 1, 1));
  rooms.leave("p:p", "one");
  rooms.emit("p:p", "changes", frame("a", 2, 2));
  expect([one.told, other.told]).toEqual([["changes a:1"], ["changes a:2"]]);
  rooms.leave("p:p", "other");
  expect(rooms.isEmpty("p:p")).toBe(true);
});
