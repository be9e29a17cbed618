import { Mirror } from "../../client/mirror.ts";
import {
  type JoinProjectDeps,
  joinProject,
  leaveAll,
  pageSnapshot,
} from "../../server/realtime/handlers/join-project.ts";
import type { Outbox } from "../../server/realtime/outbox.ts";
import type { RoomEmitter } from "../../server/realtime/rooms.ts";
import type { Consumer, SlowConsumers } from "../../server/realtime/slow-consumers.ts";
import { ViewerConnection } from "../../server/realtime/viewer-connection.ts";
import type { ChangesFrame } from "../../shared/messages/frames.ts";

type Message = readonly [event: string, body: unknown];

type Joined = Parameters<Mirror["joined"]>[0];

/** What waits for one viewer. The operating system takes nothing from it but what the viewer reads. */
class Queue implements Outbox {
  readonly messages: Message[] = [];
  bytes = 0;

  get isDrained(): boolean {
    return this.messages.length === 0;
  }

  get isBlocked(): boolean {
    return !this.isDrained;
  }

  push(event: string, body: unknown): void {
    this.messages.push([event, body]);
    this.bytes += JSON.stringify(body).length;
  }

  shift(): Message | undefined {
    const message = this.messages.shift();
    if (message !== undefined) this.bytes -= JSON.stringify(message[1]).length;
    return message;
  }
}

/** Rooms of fake sockets. */
export class FakeRooms implements RoomEmitter {
  readonly #rooms = new Map<string, Map<string, Queue>>();

  isEmpty(room: string): boolean {
    return (this.#rooms.get(room)?.size ?? 0) === 0;
  }

  emit(room: string, event: string, message: object): void {
    for (const queue of this.#rooms.get(room)?.values() ?? []) queue.push(event, message);
  }

  emitVolatile(room: string, event: string, message: object): void {
    for (const queue of this.#rooms.get(room)?.values() ?? []) if (queue.isDrained) queue.push(event, message);
  }

  emitTo(ids: readonly string[], event: string, message: object): void {
    for (const id of ids) this.emit(id, event, message);
  }

  enter(room: string, id: string, queue: Queue): void {
    const members = this.#rooms.get(room) ?? new Map<string, Queue>();
    this.#rooms.set(room, members.set(id, queue));
  }

  leave(room: string, id: string): void {
    this.#rooms.get(room)?.delete(id);
  }
}

interface World {
  readonly rooms: FakeRooms;
  readonly slow: SlowConsumers;
  readonly deps: JoinProjectDeps;
  readonly budget: number;
}

/**
 * A viewer with the mirror of the SDK behind the real handlers of a hub, which reads only when it is told to. Every
 * frame must continue the one before; what waits for it must stay within its budget and one frame.
 */
export class SlowViewer {
  readonly mirror = new Mirror();
  readonly seen = { conflated: 0, resets: 0, cuts: 0 };
  readonly #world: World;
  readonly #name: string;
  #connections = 0;
  #joins = 0;
  /** Which of them each answer belongs to. */
  readonly #joinOf = new WeakMap<Joined, number>();
  #queue = new Queue();
  #connection: ViewerConnection | undefined;
  #consumer: Consumer | undefined;
  #seq = 0;
  #largest = 0;

  constructor(world: World, name: string) {
    this.#world = world;
    this.#name = name;
  }

  get isConnected(): boolean {
    return this.#connection !== undefined;
  }

  async join(): Promise<void> {
    const connection = this.#connection ?? this.#connect();
    const since = this.mirror.beginJoin();
    this.#joins += 1;
    const join = this.#joins;
    const handled = await joinProject(this.#world.deps, connection, {
      project_id: "p",
      heartbeats: false,
      ...(since === undefined ? {} : { since }),
    });
    if (!handled.ok || this.#connection !== connection) return;
    this.#queue.push("joined", handled.value);
    this.#joinOf.set(handled.value as Joined, join);
    this.#largest = this.#queue.bytes;
    handled.afterAck?.();
    if (this.#consumer !== undefined) this.#world.slow.isSlow(this.#consumer);
  }

  /** Reads one message; false when there is none. */
  async read(): Promise<boolean> {
    const message = this.#queue.shift();
    if (message === undefined) return false;
    const [event, body] = message;
    if (event === "joined") await this.#joined(body as Joined);
    else if (event === "changes") this.#frame(body as ChangesFrame);
    else if (event === "position") this.#goOn(this.mirror.positionTold(body as never).next);
    else if (event === "project:reset") {
      this.seen.resets += 1;
      this.mirror.reset();
      await this.join();
    }
    return true;
  }

  /** As the SDK does it: of several joins under way only the last one's answer counts. */
  async #joined(answer: Joined): Promise<void> {
    if (this.#joinOf.get(answer) !== this.#joins) return;
    let verdict = this.mirror.joined(answer);
    while (verdict.next === "page") {
      const page = await pageSnapshot(this.#world.deps.snapshots, { project_id: "p", cursor: verdict.cursor });
      if (!page.ok) return this.join();
      verdict = this.mirror.page(page.value);
    }
    this.#goOn(verdict.next);
    this.#seq = this.mirror.position.seq;
  }

  #frame(frame: ChangesFrame): void {
    // Those of a former join, which came before the answer to this one.
    if (!this.mirror.isLive) return;
    if (frame.from_seq !== this.#seq + 1) throw new Error(`frame ${frame.from_seq} after ${this.#seq}`);
    this.#seq = frame.to_seq;
    for (const { seq, state } of frame.changes) {
      if (state !== undefined && state.seq !== seq) throw new Error(`change ${seq} with the state of ${state.seq}`);
    }
    if (frame.conflated) this.seen.conflated += 1;
    this.#goOn(this.mirror.frame(frame).next);
  }

  #goOn(next: string): void {
    if (next === "rejoin") throw new Error(`${this.#name} found a hole`);
  }

  /** Loses its connection. */
  cut(): void {
    if (this.#connection !== undefined) leaveAll(this.#world.deps.rooms, this.#connection);
    if (this.#consumer !== undefined) this.#world.slow.forget(this.#consumer);
    this.#world.rooms.leave(this.#connection?.id ?? "", this.#connection?.id ?? "");
    this.#connection = undefined;
    this.mirror.detach();
  }

  /** Bytes beyond what may wait: its budget, one frame, and the answers that it asked for. */
  excess(frameBytes: number): number {
    return this.#queue.bytes - this.#largest - this.#world.budget - frameBytes;
  }

  #connect(): ViewerConnection {
    const { rooms, slow } = this.#world;
    const queue = new Queue();
    this.#connections += 1;
    const id = `${this.#name}.${this.#connections}`;
    const consumer: Consumer = {
      outbox: queue,
      onDrained: () => {},
      sparePing: () => {},
      cut: () => {
        this.seen.cuts += 1;
        this.cut();
      },
    };
    const connection = new ViewerConnection(id, { principal: { role: "viewer" } } as never, {
      outbox: queue,
      isSlow: () => slow.isSlow(consumer),
      send: (event, frame) => queue.push(event, frame),
      reset: (message) => queue.push("project:reset", message),
      goesOnAfterReset: false,
      enterRooms: (names) => {
        for (const name of names) rooms.enter(name, id, queue);
      },
      leaveRoom: (name) => rooms.leave(name, id),
    });
    rooms.enter(id, id, queue);
    this.#queue = queue;
    this.#consumer = consumer;
    this.#connection = connection;
    return connection;
  }
}
