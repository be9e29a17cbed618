import type { Server as HttpServer } from "node:http";
import { type Namespace, Server, type Socket } from "socket.io";
import { type Refusal, refuse } from "../../shared/errors.ts";
import type { Limits } from "../../shared/limits.ts";
import type { ModeFrame } from "../../shared/messages/frames.ts";
import type { Lease } from "../../shared/messages/lease.ts";
import type { Closing, Expiring, Welcome } from "../../shared/messages/notices.ts";
import { AGENTS_NAMESPACE, VIEWERS_NAMESPACE } from "../../shared/protocol.ts";
import { RequestCounts } from "../counts/requests.ts";
import type { Principal } from "../domain/access.ts";
import type { Movable } from "../drain/move.ts";
import { pause } from "../timing.ts";
import { AgentConnection } from "./agent-connection.ts";
import { MOVE_NOW, slowConsumer } from "./closings.ts";
import { type CountedRoute, counted, Dispatch, type DispatchOptions, type Route } from "./dispatch.ts";
import { Door, type DoorOptions, refuseConnect } from "./door.ts";
import { together } from "./event-rooms.ts";
import { EventStreams } from "./event-streams.ts";
import { cutSlowGoodbye, sayGoodbye, sendAway } from "./farewell.ts";
import type { Peer } from "./handshake.ts";
import { jsonParser } from "./json-parser.ts";
import { KeyWatch } from "./key-watch.ts";
import { EngineOutbox, transportSocket } from "./outbox.ts";
import { RequestGate } from "./request-gate.ts";
import type { RoomEmitter } from "./rooms.ts";
import { SentBytes } from "./sent-bytes.ts";
import { type Consumer, SlowConsumers } from "./slow-consumers.ts";
import { ViewerConnection } from "./viewer-connection.ts";

export interface GatewayOptions extends DoorOptions {
  readonly hubId: string;
  readonly limits: Limits;
  /** What agents are told now. */
  readonly lease: () => Lease;
  readonly stalledAfterMs: number;
  readonly onAgentGone: (connection: AgentConnection) => void;
  readonly onViewerGone: (connection: ViewerConnection) => void;
}

export interface Routes {
  readonly agents: ReadonlyMap<string, Route<AgentConnection>>;
  readonly viewers: ReadonlyMap<string, Route<ViewerConnection>>;
}

/** What became of one kind of message. */
interface MessageCounts {
  readonly namespace: string;
  readonly event: string;
  readonly counts: RequestCounts;
}

export interface GatewayCounts {
  readonly agents: number;
  readonly viewers: number;
  /** Of events over HTTP. */
  readonly streams: number;
  readonly messages: readonly MessageCounts[];
  /** Events that are none. */
  readonly unknown: RequestCounts;
  readonly connects: RequestCounts;
  readonly loopLagMs: number;
  readonly frames: ReadonlyMap<string, number>;
  readonly ended: ReadonlyMap<string, number>;
  readonly sentBytes: number;
}

/** Where hubs talk to one another. */
const HUBS_NAMESPACE = "/hubs";
/** A connection at its beginning: what it is, and what takes its messages to their dispatch. */
interface Begun<C extends { readonly id: string }> {
  readonly connection: C;
  readonly consumer: Consumer;
  readonly intake: (dispatch: Dispatch<C>) => (event: readonly unknown[]) => void;
}

interface ConsumerEvents {
  readonly onDrained?: () => void;
  readonly onCut?: () => void;
}

const TOO_BIG = 1009;
const REFUSALS_PER_MINUTE = 100;
const TOO_MANY_ERRORS: Closing = {
  code: "TOO_MANY_ERRORS",
  message: `${REFUSALS_PER_MINUTE} malformed requests within a minute`,
  reconnect: false,
};
/** It may be a program in a loop that is put right: it comes back by itself, after a while. */
const flooded = (reconnectAfterMs: number): Closing => ({
  code: "RATE_LIMITED",
  message: "the client went on far beyond its rate although it was refused; see welcome.limits",
  reconnect: true,
  reconnect_after_ms: reconnectAfterMs,
});
/** A word to all agents goes out in portions, so that the turn of the event loop stays short. */
const TOLD_AT_ONCE = 250;
const TELL_PAUSE_MS = 20;
const BUSY = {
  code: "OVERLOADED",
  message: "too many requests wait for their answers",
  retry_after_ms: 1_000,
} as const;
/**
 * The Socket.IO edge: who may connect, which messages exist, and the end of connections. Websocket only, so no sticky
 * sessions are needed; no state recovery by the library, positions do that; no binary.
 */
export class Gateway {
  readonly #io: Server;
  readonly #options: GatewayOptions;
  readonly #agents: Namespace;
  readonly #viewers: Namespace;
  #mode: ModeFrame = { mode: "live" };
  readonly #slow: SlowConsumers;
  readonly #keyWatch: KeyWatch;
  readonly #door: Door;
  /** Viewers that come over HTTP. */
  readonly streams: EventStreams;
  /** The lease that agents are being told, or were told last. */
  #told: Lease | undefined;
  readonly #unanswered = { count: 0 };
  /** Of events that are none. */
  readonly #unknown = new RequestCounts();
  readonly #messages: MessageCounts[] = [];
  readonly #sentBytes = new SentBytes();
  /** Frames to viewers by event, one for each viewer; connections that the hub ended, by the code it told. */
  readonly #frames = new Map<string, number>();
  readonly #ended = new Map<string, number>();

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#keyWatch = new KeyWatch(options);
    this.#slow = new SlowConsumers({ ...options, queueBytes: options.limits.queue_bytes });
    this.streams = new EventStreams({ ...options, keyWatch: this.#keyWatch, slow: this.#slow });
    this.#door = new Door({
      ...options,
      streams: () => this.streams.size,
      upgraded: () => this.#io.engine.clientsCount,
      accepted: () => this.#agents.sockets.size + this.#viewers.sockets.size,
    });
    this.#io = new Server({
      transports: ["websocket"],
      serveClient: false,
      perMessageDeflate: false,
      httpCompression: false,
      maxHttpBufferSize: options.limits.frame_bytes,
      connectTimeout: options.bounds.connectTimeoutMs,
      pingInterval: 10_000,
      pingTimeout: 5_000,
      parser: jsonParser,
      allowRequest: (request, decide) => this.#door.upgrade(request, decide),
    });
    this.#agents = this.#io.of(AGENTS_NAMESPACE);
    this.#viewers = this.#io.of(VIEWERS_NAMESPACE);
  }

  /** Takes connections of this server from now on. */
  open(http: HttpServer, routes: Routes): void {
    this.#keyWatch.start();
    this.#accept(this.#agents, counted(routes.agents), (socket, peer) => {
      const consumer = this.#consumer(socket);
      const connection = new AgentConnection(socket.id, peer, (event, ...message) => {
        socket.emit(event, ...message);
        this.#isSlow(socket, consumer);
      });
      socket.on("disconnect", () => {
        connection.isClosed = true;
        this.#options.onAgentGone(connection);
      });
      return { connection, consumer, intake: (dispatch) => (event) => void dispatch.onEvent(event) };
    });
    this.#accept(this.#viewers, counted(routes.viewers), (socket, peer) => {
      boundFrames(socket, this.#options.limits.viewer_frame_bytes);
      let gate: RequestGate<readonly unknown[]> | undefined;
      const gone = () => {
        gate?.clear();
        this.#options.onViewerGone(connection);
      };
      const consumer = this.#consumer(socket, { onDrained: () => gate?.release(), onCut: gone });
      const connection = new ViewerConnection(socket.id, peer, {
        outbox: consumer.outbox,
        isSlow: () => this.#isSlow(socket, consumer),
        send: (event, frame) => socket.emit(event, frame),
        reset: (message) => socket.emit("project:reset", message),
        goesOnAfterReset: false,
        enterRooms: (rooms) => void socket.join([...rooms]),
        leaveRoom: (room) => void socket.leave(room),
      });
      socket.on("disconnect", gone);
      const intake = (dispatch: Dispatch<ViewerConnection>) => {
        gate = this.#gate(consumer, dispatch);
        return gate.take.bind(gate);
      };
      return { connection, consumer, intake };
    });
    // The library's own namespace, and that of the hubs, would be places to stay without a key.
    const elsewhere = refuse("VALIDATION", `connect to ${AGENTS_NAMESPACE} or ${VIEWERS_NAMESPACE}`);
    for (const namespace of [this.#io.of("/"), this.hubs]) {
      namespace.use((socket, next) => refuseConnect(socket, next, elsewhere));
    }
    this.#io.attach(http);
    this.#io.engine.on("connection", (conn: Socket["conn"]) => {
      cutSlowGoodbye(conn);
      this.#sentBytes.add(conn);
    });
  }

  /** Rooms of viewers on this hub. */
  get rooms(): RoomEmitter {
    const viewers = this.#viewers;
    const { rooms } = viewers.adapter;
    const count = (event: string, viewersThere = 0) =>
      void this.#frames.set(event, (this.#frames.get(event) ?? 0) + viewersThere);
    const ofSockets: RoomEmitter = {
      isEmpty: (room) => !rooms.has(room),
      emit: (room, event, message) => {
        count(event, rooms.get(room)?.size);
        viewers.local.to(room).emit(event, message);
      },
      emitVolatile: (room, event, message) => {
        count(event, rooms.get(room)?.size);
        viewers.local.volatile.to(room).emit(event, message);
      },
      // Every socket is alone in the room of its id.
      emitTo: (ids, event, message) => {
        count(event, ids.length);
        viewers.local.to([...ids]).emit(event, message);
      },
    };
    return together([ofSockets, this.streams.rooms]);
  }

  /** For messages between hubs; clients are refused there. */
  get hubs(): Namespace {
    return this.#io.of(HUBS_NAMESPACE);
  }

  /** Tells every viewer, and those who come while it is not live, how quickly other hubs' changes arrive here. */
  setMode(mode: ModeFrame): void {
    this.#mode = mode;
    this.#viewers.local.emit("mode", mode);
    this.streams.setMode(mode);
  }

  /** What was done since the start, and is now. */
  get counts(): GatewayCounts {
    return {
      agents: this.#agents.sockets.size,
      viewers: this.#viewers.sockets.size,
      streams: this.streams.size,
      messages: this.#messages,
      unknown: this.#unknown,
      connects: this.#door.counts,
      loopLagMs: this.#door.loopLagMs,
      frames: this.#frames,
      ended: this.#ended,
      sentBytes: this.#sentBytes.total,
    };
  }

  /** Requests that wait for their answer. */
  get unanswered(): number {
    return this.#unanswered.count;
  }

  /** Everyone who is connected, agents first: viewers still see everything while the hub drains. */
  get connections(): Movable[] {
    const sockets = [...this.#agents.sockets.values(), ...this.#viewers.sockets.values()];
    const ofSockets = sockets.map((socket) => ({
      get isGone() {
        return socket.conn.readyState === "closed";
      },
      askToMove: (reconnectAfterMs: number) => void socket.emit("drain", { reconnect_after_ms: reconnectAfterMs }),
      close: () => this.#dismiss(socket, MOVE_NOW),
    }));
    return [...ofSockets, ...this.streams.movables];
  }

  /** Why one more connection that is no socket cannot be taken now. */
  admit(): Refusal | undefined {
    return this.#door.overload();
  }

  /** Connected agents. */
  get agents(): number {
    return this.#agents.sockets.size;
  }

  /** Whose connections are open, one for each. */
  principals(): Iterable<Principal> {
    return this.#keyWatch.principals();
  }

  /** Tells every agent its new lease; one that is overtaken by a newer one ends early. */
  async tellLease(lease: Lease): Promise<void> {
    this.#told = lease;
    const sockets = [...this.#agents.sockets.values()];
    for (let start = 0; start < sockets.length && this.#told === lease; start += TOLD_AT_ONCE) {
      for (const socket of sockets.slice(start, start + TOLD_AT_ONCE)) socket.emit("lease", lease);
      await pause(TELL_PAUSE_MS);
    }
  }

  /** After the drain: the library throws away what is not sent to those who are still connected. */
  async close(): Promise<void> {
    this.#slow.stop();
    this.#keyWatch.stop();
    this.#door.stop();
    this.streams.close();
    if (this.#io.engine !== undefined) await this.#io.close();
  }

  #accept<C extends { readonly id: string }>(
    namespace: Namespace,
    routes: ReadonlyMap<string, CountedRoute<C>>,
    begin: (socket: Socket, peer: Peer) => Begun<C>,
  ): void {
    for (const [event, { counts }] of routes) this.#messages.push({ namespace: namespace.name, event, counts });
    const peers = new WeakMap<Socket, Peer>();
    namespace.use((socket, next) => {
      void this.#door.connect(socket).then((peer) => {
        if ("code" in peer) {
          refuseConnect(socket, next, peer);
          return;
        }
        peers.set(socket, peer);
        next();
      });
    });
    namespace.on("connection", (socket) => {
      const peer = peers.get(socket);
      if (peer === undefined) return;
      const { connection, consumer, intake } = begin(socket, peer);
      const dispatch = new Dispatch(connection, routes, this.#dispatchOptions(socket, peer), {
        onTooManyErrors: () => this.#dismiss(socket, TOO_MANY_ERRORS),
        onFlood: () => this.#dismiss(socket, flooded(this.#options.bounds.floodReconnectMs)),
        onAnswered: () => void this.#isSlow(socket, consumer),
      });
      const take = intake(dispatch);
      const watched = {
        peer,
        expiring: (message: Expiring) => void socket.emit("expiring", message),
        end: (reason: Closing) => {
          dispatch.end();
          this.#dismiss(socket, reason);
        },
      };
      this.#keyWatch.add(watched);
      // As middleware that never calls next: the event is ours, and no listener of the library sees it. Events that
      // came in one read with the end of the connection arrive after it.
      socket.use((event) => {
        if (socket.connected) take(event);
      });
      // Leaving the namespace must not leave an open connection behind.
      socket.on("disconnect", () => {
        this.#slow.forget(consumer);
        this.#keyWatch.forget(watched);
        socket.conn.close();
      });
      socket.emit("welcome", this.#welcome(peer));
      if (namespace === this.#viewers && this.#mode.mode !== "live") socket.emit("mode", this.#mode);
    });
  }

  #dispatchOptions({ id }: Socket, peer: Peer): DispatchOptions {
    const { limits, clock, log, rates } = this.#options;
    return {
      limits,
      clock,
      log,
      maxRefusalsPerMinute: REFUSALS_PER_MINUTE,
      unanswered: this.#unanswered,
      rates: rates.connection({ id, peer }),
      unknown: this.#unknown,
    };
  }

  #welcome(peer: Peer): Welcome {
    const { hubId, clock, keys, limits, lease, stalledAfterMs } = this.#options;
    const expiresAt = keys.expiryOf(peer.principal);
    return {
      protocol: peer.protocol,
      hub_id: hubId,
      time: new Date(clock.now()).toISOString(),
      role: peer.principal.role,
      limits,
      lease: lease(),
      stalled_after_ms: stalledAfterMs,
      ...(expiresAt === undefined ? {} : { expires_at: new Date(expiresAt).toISOString() }),
    };
  }

  #consumer(socket: Socket, { onDrained, onCut }: ConsumerEvents = {}): Consumer {
    const outbox = new EngineOutbox(socket.conn);
    const cut = () => {
      onCut?.();
      this.#cutSlow(socket, outbox);
    };
    return { outbox, onDrained: onDrained ?? (() => {}), sparePing: () => outbox.sparePing(), cut };
  }

  /** One that is closing takes nothing more; what is left in its buffers says nothing. */
  #isSlow(socket: Socket, consumer: Consumer): boolean {
    return socket.conn.readyState === "open" && this.#slow.isSlow(consumer);
  }

  #gate(consumer: Consumer, dispatch: Dispatch<ViewerConnection>): RequestGate<readonly unknown[]> {
    const { bounds } = this.#options;
    return new RequestGate({
      atOnce: bounds.viewerRequestsAtOnce,
      waiting: bounds.viewerRequestsWaiting,
      isHeldUp: () => {
        const isFull = this.#slow.isFull(consumer);
        if (isFull) this.#slow.watch(consumer);
        return isFull;
      },
      handle: (event) => dispatch.onEvent(event),
      onFull: (event) => dispatch.refuse(event, BUSY),
    });
  }

  /** What waits for it is dropped for the word why, which is all that it may still read. */
  #cutSlow(socket: Socket, outbox: EngineOutbox): void {
    const { limits, bounds, log } = this.#options;
    log.info({ namespace: socket.nsp.name, bytes: outbox.bytes }, "closing a connection that reads too slowly");
    outbox.discard();
    this.#dismiss(socket, slowConsumer(limits.queue_bytes, bounds.slowReconnectMs));
  }

  #dismiss(socket: Socket, reason: Closing): void {
    this.#ended.set(reason.code, (this.#ended.get(reason.code) ?? 0) + 1);
    if (reason.reconnect) sayGoodbye(socket, reason);
    else sendAway(socket, reason);
  }
}

/** Viewers only ask; a larger frame than they need is closed like one over the transport's own limit. */
function boundFrames(socket: Socket, maxBytes: number): void {
  socket.conn.on("data", (data: unknown) => {
    // One byte of the frame, the type of its Engine.IO packet, is not part of the data.
    if (typeof data !== "string" || Buffer.byteLength(data) < maxBytes) return;
    transportSocket(socket.conn)?.close(TOO_BIG);
    // At once, so that nothing of the frame is applied: it is decoded, but waits for the end of this turn.
    socket.conn.close(true);
  });
}
