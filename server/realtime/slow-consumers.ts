import type { BOUNDS } from "../bounds.ts";
import type { Clock } from "../ports.ts";
import type { Outbox } from "./outbox.ts";

/** A connection as far as it may be too slow. */
export interface Consumer {
  readonly outbox: Outbox;
  /** Nothing waits for it any more. */
  onDrained(): void;
  /** It is given time to read: a ping that waits behind the rest must not end it before. */
  sparePing(): void;
  /** It will not be waited for: tell it, close it, free what it held. */
  cut(): void;
}

type QueueVerdict =
  | "fine"
  /** Nothing that can be left out may be added. */
  | "slow"
  /** Nothing at all may be added. */
  | "hopeless";

interface QueueBounds {
  /** What may wait for a client that does not read. */
  readonly budget: number;
  /** What may wait for one that does, within one turn of the event loop. */
  readonly burst: number;
  /** What may wait at all. */
  readonly most: number;
}

/** What a full queue says of its reader. All that one turn writes waits for the turn's end, however fast the client is. */
export function judgeQueue({ bytes, isBlocked }: Outbox, { budget, burst, most }: QueueBounds): QueueVerdict {
  if (bytes <= budget) return "fine";
  if (bytes > most) return "hopeless";
  return isBlocked || bytes > burst ? "slow" : "fine";
}

interface Options {
  readonly clock: Clock;
  readonly bounds: typeof BOUNDS;
  /** Bytes that may wait for one connection. */
  readonly queueBytes: number;
}

/** Connections whose clients read too slowly: each is given a time to catch up. */
export class SlowConsumers {
  readonly #clock: Clock;
  readonly #limitMs: number;
  readonly #bounds: QueueBounds;
  readonly #timer: NodeJS.Timeout;
  /** Monotonic time since when there was too much for them. */
  readonly #since = new Map<Consumer, number>();

  constructor({ clock, bounds, queueBytes }: Options) {
    this.#clock = clock;
    this.#limitMs = bounds.slowConsumerMs;
    this.#bounds = { budget: queueBytes, burst: bounds.queueBurstBytes, most: bounds.queueBytesAtMost };
    this.#timer = setInterval(() => this.#look(), bounds.slowPassMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Whether something that can be left out must be; ends a connection that is beyond that. */
  isSlow(consumer: Consumer): boolean {
    if (consumer.outbox.isDrained) return false;
    const verdict = judgeQueue(consumer.outbox, this.#bounds);
    if (verdict === "slow") this.watch(consumer);
    else if (verdict === "hopeless") this.#cut(consumer);
    return verdict !== "fine";
  }

  /** More waits than should be added to, whoever is to blame. */
  isFull(consumer: Consumer): boolean {
    return consumer.outbox.bytes > this.#bounds.budget;
  }

  /** Hears `onDrained`, or is cut when that takes too long. */
  watch(consumer: Consumer): void {
    if (!this.#since.has(consumer)) this.#since.set(consumer, this.#clock.monotonic());
  }

  /** The connection is gone. */
  forget(consumer: Consumer): void {
    this.#since.delete(consumer);
  }

  #look(): void {
    const now = this.#clock.monotonic();
    for (const [consumer, since] of this.#since) {
      if (consumer.outbox.isDrained) {
        this.#since.delete(consumer);
        consumer.onDrained();
      } else if (now - since >= this.#limitMs) this.#cut(consumer);
      else consumer.sparePing();
    }
  }

  #cut(consumer: Consumer): void {
    this.#since.delete(consumer);
    consumer.cut();
  }
}
