import type { ServerResponse } from "node:http";
import type { HubToViewer } from "../../shared/messages/down.ts";
import type { ChangesFrame, PositionFrame, ProjectReset } from "../../shared/messages/frames.ts";
import type { Position } from "../../shared/position.ts";
import { pause } from "../timing.ts";
import { eventText, spanOf } from "./event-text.ts";
import { FAREWELL_MS } from "./farewell.ts";
import type { Outbox } from "./outbox.ts";

export const EVENT_STREAM_HEADERS = {
  "Content-Type": "text/event-stream",
  "Cache-Control": "no-store",
  // Proxies that collect answers before they pass them on are asked not to.
  "X-Accel-Buffering": "no",
  Connection: "close",
} as const;

/**
 * The answer to one request, to which events are added until it ends. What is written goes to the operating system at
 * once: what the buffers still hold after that is what the client has not read.
 */
export class EventStream implements Outbox {
  readonly #response: ServerResponse;
  readonly #projectId: string;
  /** The last id sent: a client that loses the stream now comes back with it. */
  #at: Position | undefined;

  constructor(response: ServerResponse, projectId: string) {
    this.#response = response;
    this.#projectId = projectId;
    // No bound of REST's counts here: reads that stop are noticed by what waits.
    response.setTimeout(0);
    response.writeHead(200, EVENT_STREAM_HEADERS);
  }

  get isDrained(): boolean {
    return this.bytes === 0;
  }

  get isBlocked(): boolean {
    return !this.isDrained;
  }

  get bytes(): number {
    return this.#response.writableLength;
  }

  /** Its connection is closed. */
  get isGone(): boolean {
    return this.#response.destroyed;
  }

  tell<E extends keyof HubToViewer>(event: E, message: Parameters<HubToViewer[E]>[0]): void {
    this.write(eventText(event, message));
  }

  /**
   * A frame, encoded once for all who get it. Where it does not continue what was sent, since the log goes on elsewhere,
   * the client hears of that first: its id must never pass over something that it was not sent.
   */
  follow(event: "changes" | "position", frame: ChangesFrame | PositionFrame, encoded?: Buffer): void {
    const { from, to } = spanOf(frame);
    if (this.#at !== undefined && !continues(this.#at, from)) {
      this.reset({ project_id: this.#projectId, reason: "the log goes on elsewhere" }, from);
    }
    this.#at = to;
    this.write(encoded ?? eventText(event, frame, to));
  }

  reset(message: ProjectReset, head: Position): void {
    this.#at = head;
    this.write(eventText("project:reset", message, head));
  }

  write(text: Buffer): void {
    if (this.#response.writableEnded || this.#response.destroyed) return;
    this.#response.write(text);
    // Node would wait for the end of this turn.
    this.#response.socket?.uncork();
  }

  /** Ends when all that was written has left, or soon. */
  end(): void {
    this.#response.end();
    void pause(FAREWELL_MS).then(() => this.destroy());
  }

  destroy(): void {
    this.#response.destroy();
  }
}

/** A project without changes has no epoch yet. */
function continues(at: Position, from: Position): boolean {
  return at.seq === from.seq && (at.epoch === from.epoch || at.epoch === "");
}
