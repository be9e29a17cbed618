import type { ServerResponse } from "node:http";
import type { Limits } from "../../shared/limits.ts";
import type { ModeFrame } from "../../shared/messages/frames.ts";
import type { Closing, Expiring } from "../../shared/messages/notices.ts";
import type { BOUNDS } from "../bounds.ts";
import type { Principal } from "../domain/access.ts";
import type { Movable } from "../drain/move.ts";
import type { Logger } from "../ports.ts";
import { MOVE_NOW, slowConsumer } from "./closings.ts";
import { EventRooms } from "./event-rooms.ts";
import { EVENT_STREAM_HEADERS, EventStream } from "./event-stream.ts";
import { eventText, retryText } from "./event-text.ts";
import type { KeyWatch } from "./key-watch.ts";
import type { Consumer, SlowConsumers } from "./slow-consumers.ts";
import { ViewerConnection } from "./viewer-connection.ts";

interface Options {
  readonly keyWatch: KeyWatch;
  readonly slow: SlowConsumers;
  readonly limits: Limits;
  readonly bounds: typeof BOUNDS;
  readonly log: Logger;
  readonly onViewerGone: (viewer: ViewerConnection) => void;
}

interface Open {
  readonly stream: EventStream;
  readonly end: (reason: Closing) => void;
  readonly release: () => void;
}

/** Viewers that read along over HTTP, each by one answer that does not end; otherwise they are like those of the gateway. */
export class EventStreams {
  readonly rooms = new EventRooms();
  readonly #options: Options;
  readonly #open = new Set<Open>();
  #mode: ModeFrame = { mode: "live" };
  #count = 0;

  constructor(options: Options) {
    this.#options = options;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Begins the answer. Undefined when there is nobody to read it, or only its head was asked for. */
  open(response: ServerResponse, principal: Principal, projectId: string): ViewerConnection | undefined {
    if (response.destroyed) return undefined;
    if (response.req.method === "HEAD") {
      response.writeHead(200, EVENT_STREAM_HEADERS).end();
      return undefined;
    }
    const stream = new EventStream(response, projectId);
    const viewer = this.#admit(stream, principal, response);
    stream.write(retryText(this.#pauseMs()));
    if (this.#mode.mode !== "live") stream.tell("mode", this.#mode);
    return viewer;
  }

  setMode(mode: ModeFrame): void {
    this.#mode = mode;
    const text = eventText("mode", mode);
    for (const { stream } of this.#open) stream.write(text);
  }

  get movables(): Movable[] {
    return [...this.#open].map(({ stream, end, release }) => ({
      get isGone() {
        return stream.isGone;
      },
      // It knows no other way to come back after a time than the end of its stream.
      askToMove: (reconnectAfterMs) => {
        release();
        stream.write(retryText(Math.max(reconnectAfterMs, this.#pauseMs())));
        stream.tell("drain", { reconnect_after_ms: reconnectAfterMs });
        stream.end();
      },
      close: () => end(MOVE_NOW),
    }));
  }

  /** Ends them all as they are. */
  close(): void {
    for (const { stream, release } of this.#open) {
      release();
      stream.destroy();
    }
  }

  #admit(stream: EventStream, principal: Principal, response: ServerResponse): ViewerConnection {
    const { keyWatch, slow, onViewerGone } = this.#options;
    this.#count += 1;
    const id = `events.${this.#count}`;
    const consumer: Consumer = {
      outbox: stream,
      onDrained: () => {},
      sparePing: () => {},
      cut: () => this.#cutSlow(stream, end),
    };
    const peer = { principal, protocol: 1, agentId: undefined, client: undefined };
    const viewer = new ViewerConnection(id, peer, {
      outbox: stream,
      isSlow: () => slow.isSlow(consumer),
      send: (event, frame) => stream.follow(event, frame),
      reset: (message, head) => stream.reset(message, head),
      goesOnAfterReset: true,
      enterRooms: (rooms) => this.rooms.enter(rooms, id, stream),
      leaveRoom: (room) => this.rooms.leave(room, id),
    });
    const release = () => {
      if (!this.#open.delete(open)) return;
      keyWatch.forget(watched);
      slow.forget(consumer);
      this.rooms.leave(id, id);
      onViewerGone(viewer);
    };
    const end = (reason: Closing) => {
      release();
      if (reason.reconnect_after_ms !== undefined) stream.write(retryText(reason.reconnect_after_ms));
      stream.tell("closing", reason);
      stream.end();
    };
    const watched = { peer, expiring: (message: Expiring) => stream.tell("expiring", message), end };
    const open: Open = { stream, end, release };
    this.#open.add(open);
    this.rooms.enter([id], id, stream);
    keyWatch.add(watched);
    response.on("close", release);
    return viewer;
  }

  #cutSlow(stream: EventStream, end: (reason: Closing) => void): void {
    const { limits, bounds, log } = this.#options;
    log.info({ bytes: stream.bytes }, "closing a stream of events that is read too slowly");
    end(slowConsumer(limits.queue_bytes, bounds.slowReconnectMs));
  }

  /** Streams that broke together do not come back together. */
  #pauseMs(): number {
    const { eventRetryMs, eventRetrySpreadMs } = this.#options.bounds;
    return eventRetryMs + Math.random() * eventRetrySpreadMs;
  }
}
