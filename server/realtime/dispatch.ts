import type { z } from "zod";
import { errorBody, type Refusal, refuse } from "../../shared/errors.ts";
import type { Limits } from "../../shared/limits.ts";
import { parseInput } from "../../shared/validate.ts";
import type { Clock, Logger } from "../ports.ts";
import { type Outcome, refused } from "../writer/outcome.ts";

type Ack = (answer: object) => void;

/** What a handler needs to know of a message beside its content. */
export interface MessageInfo {
  /** Approximate size. */
  readonly bytes: number;
}

/** What a handler says; `afterAck` runs in the same turn as the ack, so that nothing can come between. */
export type Handled = Outcome<object> & { readonly afterAck?: () => void };

/** One kind of message: its schema, and what is done with it. */
export interface Route<C> {
  readonly schema: z.ZodType;
  /** Without an ack the message is not applied, unless this says otherwise. */
  readonly ackOptional?: true;
  handle(connection: C, message: never, info: MessageInfo): Promise<Handled> | Handled;
}

/** Makes a route whose handler sees the schema's type. */
export function route<C, S extends z.ZodType>(
  schema: S,
  handle: (connection: C, message: z.infer<S>, info: MessageInfo) => Promise<Handled> | Handled,
  options: { readonly ackOptional?: true } = {},
): Route<C> {
  return { schema, handle: handle as Route<C>["handle"], ...options };
}

export interface DispatchOptions {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly log: Logger;
  /** `VALIDATION` and `UNAUTHENTICATED` refusals a minute that close a connection. */
  readonly maxRefusalsPerMinute: number;
  /** Requests of all connections that wait for their answer. */
  readonly unanswered: { count: number };
}

/** What the connection's edge does about it. */
export interface DispatchEvents {
  readonly onTooManyErrors: () => void;
  /** An ack was written. */
  readonly onAnswered: () => void;
}

const MINUTE_MS = 60_000;
/** Refusals that no client in order causes again and again: nonsense, and keys that are none. */
const COUNTED: ReadonlySet<string> = new Set(["VALIDATION", "UNAUTHENTICATED"]);

/**
 * The gate of one connection: every message that arrives is parsed, handled and answered here, and nothing that a
 * client sends can throw past it.
 */
export class Dispatch<C extends { readonly id: string }> {
  readonly #connection: C;
  readonly #routes: ReadonlyMap<string, Route<C>>;
  readonly #options: DispatchOptions;
  readonly #events: DispatchEvents;
  #requests = 0;
  #refusals = 0;
  #windowEnds = 0;
  /** Told that it is cut off: nothing that still comes is looked at. */
  #isOver = false;

  constructor(connection: C, routes: ReadonlyMap<string, Route<C>>, options: DispatchOptions, events: DispatchEvents) {
    this.#connection = connection;
    this.#routes = routes;
    this.#options = options;
    this.#events = events;
  }

  /** Takes one event as Socket.IO hands it over: `[name, ...arguments, ack?]`. What is returned ends with the answer. */
  onEvent(event: readonly unknown[]): Promise<void> | undefined {
    if (this.#isOver) return undefined;
    const { ack, refuseWith, requestId } = this.#begin(event);
    const onBug = (error: unknown) => {
      this.#options.log.error({ err: error, request_id: requestId }, "a handler failed");
      refuseWith(refuse("INTERNAL", "internal error; outcome unknown, retry with the same op"));
    };
    const { unanswered } = this.#options;
    const onAnswered = () => {
      unanswered.count -= 1;
    };
    try {
      const outcome = this.#handle(event, ack);
      if (outcome instanceof Promise) {
        unanswered.count += 1;
        return outcome
          .then((settled) => this.#answer(settled, ack, refuseWith))
          .catch(onBug)
          .then(onAnswered);
      }
      if (outcome !== undefined) this.#answer(outcome, ack, refuseWith);
    } catch (error) {
      onBug(error);
    }
    return undefined;
  }

  /** Nothing that still comes is looked at; what is under way is answered. */
  end(): void {
    this.#isOver = true;
  }

  /** Answers an event without a look at it. */
  refuse(event: readonly unknown[], refusal: Refusal): void {
    if (!this.#isOver) this.#begin(event).refuseWith(refusal);
  }

  #begin(event: readonly unknown[]) {
    this.#requests += 1;
    const requestId = `${this.#connection.id}-${this.#requests}`;
    const last = event.at(-1);
    const ack = typeof last === "function" ? (last as Ack) : undefined;
    const refuseWith = (refusal: Refusal) => {
      ack?.({ ok: false, error: errorBody(refusal, requestId) });
      if (COUNTED.has(refusal.code)) this.#countRefusal();
      this.#events.onAnswered();
    };
    return { ack, refuseWith, requestId };
  }

  /** What the handler says, a refusal when it does not come so far, nothing when nobody would hear it. */
  #handle(event: readonly unknown[], ack: Ack | undefined): Promise<Handled> | Handled | undefined {
    const [name] = event;
    const found = typeof name === "string" ? this.#routes.get(name) : undefined;
    if (found === undefined) {
      const text = typeof name === "string" ? `unknown event ${name.slice(0, 64)}` : "an event without a name";
      return refused(refuse("VALIDATION", text, { reason: "UNKNOWN_EVENT" }));
    }
    if (ack === undefined && found.ackOptional === undefined) {
      this.#countRefusal();
      return undefined;
    }
    const messages = event.slice(1, ack === undefined ? undefined : -1);
    if (messages.length !== 1) {
      return refused(refuse("VALIDATION", "a request has exactly one argument, an object, and an ack callback"));
    }
    const parsed = parseInput(found.schema, messages[0], this.#options.limits);
    if (!parsed.ok) return refused(parsed.refusal);
    return found.handle(this.#connection, parsed.value as never, { bytes: parsed.bytes });
  }

  #answer(outcome: Handled, ack: Ack | undefined, refuseWith: (refusal: Refusal) => void): void {
    if (outcome.ok) ack?.({ ok: true, ...outcome.value });
    else refuseWith(outcome.refusal);
    outcome.afterAck?.();
    this.#events.onAnswered();
  }

  /** A client that sends nothing but nonsense is told so and cut off. */
  #countRefusal(): void {
    const now = this.#options.clock.monotonic();
    if (now > this.#windowEnds) {
      this.#windowEnds = now + MINUTE_MS;
      this.#refusals = 0;
    }
    this.#refusals += 1;
    if (this.#refusals < this.#options.maxRefusalsPerMinute) return;
    this.end();
    this.#events.onTooManyErrors();
  }
}
