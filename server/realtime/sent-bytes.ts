import type { Socket } from "socket.io";
import { transportSocket } from "./outbox.ts";

/** Bytes that were written to clients since the start, headers and pings included: the system counts them anyway. */
export class SentBytes {
  readonly #open = new Set<{ readonly bytesWritten: number }>();
  #ofClosed = 0;

  add(conn: Socket["conn"]): void {
    const socket = transportSocket(conn) as { readonly _socket?: { readonly bytesWritten: number } | null } | undefined;
    const tcp = socket?._socket;
    // Gone already.
    if (tcp === undefined || tcp === null) return;
    this.#open.add(tcp);
    conn.once("close", () => {
      this.#open.delete(tcp);
      this.#ofClosed += tcp.bytesWritten;
    });
  }

  get total(): number {
    let bytes = this.#ofClosed;
    for (const tcp of this.#open) bytes += tcp.bytesWritten;
    return bytes;
  }
}
