import type { Socket } from "socket.io";
import type { Closing } from "../../shared/messages/notices.ts";
import { pause } from "../timing.ts";
import { transportSocket } from "./outbox.ts";

/** How long a refused or told-off client may take to read why, before its connection is cut. */
export const FAREWELL_MS = 500;
/** How long a client may take to answer the close frame; by default it could keep its TCP connection for 30 s. */
const GOODBYE_MS = 2_000;

/** Tells why, lets it be read, and closes. The client stays away; one that reads nothing is cut off all the same. */
export function sendAway(socket: Socket, reason: Closing): void {
  socket.emit("closing", reason);
  void pause(FAREWELL_MS).then(async () => {
    const transport = transportSocket(socket.conn);
    socket.disconnect(true);
    await pause(FAREWELL_MS);
    transport?.terminate();
  });
}

/** Takes nothing more from now on, and ends when the last word has left, or soon. The client comes back by itself. */
export function sayGoodbye(socket: Socket, message: Closing): void {
  socket.emit("closing", message);
  socket.conn.close();
  void pause(FAREWELL_MS).then(() => transportSocket(socket.conn)?.terminate());
}

/** To be called with every connection. */
export function cutSlowGoodbye(conn: Socket["conn"]): void {
  conn.once("close", () => void pause(GOODBYE_MS).then(() => transportSocket(conn)?.terminate()));
}
