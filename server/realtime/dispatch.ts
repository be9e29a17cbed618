import type { z } from "zod";
import { errorBody, type Refusal, refuse } from "../../shared/errors.ts";
import type { Limits } from "../../shared/limits.ts";
import { parseInput } from "../../shared/validate.ts";
import { RequestCounts } from "../counts/requests.ts";
import type { ConnectionRates, RateName } from "../limits/rate-limits.ts";
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

export interface RouteOptions {
  /** Without an ack the message is not applied, unless this says otherwise. */
  readonly ackOptional?: true;
  /** What it counts as, where there is a rate. */
  readonly rate?: RateName;
}

/** One kind of message: its schema, and what is done with it. */
export interface Route<C> extends RouteOptions {
  readonly schema: z.ZodType;
  handle(connection: C, message: never, info: MessageInfo): Promise<Handled> | Handled;
}

/** With what became of its messages, on all connections. */
export interface CountedRoute<C> extends Route<C> {
  readonly counts: RequestCounts;
}

export function counted<C>(routes: ReadonlyMap<string, Route<C>>): Map<string, CountedRoute<C>> {
  return new Map([...routes].map(([name, found]) => [name, { ...found, counts: new RequestCounts() }]));
}

/** Makes a route whose handler sees the schema's type. */
export function route<C, S extends z.ZodType>(
  schema: S,
  handle: (connection: C, message: z.infer<S>, info: MessageInfo) => Promise<Handled> | Handled,
  options: RouteOptions = {},
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
  readonly rates: ConnectionRates;
  /** Counts of events that are none. */
  readonly unknown: RequestCounts;
}

/** A message on its way to its answer. */
interface Request<C> {
  readonly id: string;
  /** Monotonic. */
  readonly startedAt: number;
  readonly route: CountedRoute<C> | undefined;
  readonly ack: Ack | undefined;
}

/** What the connection's edge does about it. */
export interface DispatchEvents {
  readonly onTooManyErrors: () => void;
  /** The client went on far beyond its rate. */
  readonly onFlood: () => void;
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
  readonly #routes: ReadonlyMap<string, CountedRoute<C>>;
  readonly #options: DispatchOptions;
  readonly #events: DispatchEvents;
  #requests = 0;
  #refusals = 0;
  #windowEnds = 0;
  /** Told that it is cut off: nothing that still comes is looked at. */
  #isOver = false;

  constructor(
    connection: C,
    routes: ReadonlyMap<string, CountedRoute<C>>,
    options: DispatchOptions,
    events: DispatchEvents,
  ) {
    this.#connection = connection;
    this.#routes = routes;
    this.#options = options;
    this.#events = events;
  }

  /** Takes one event as Socket.IO hands it over: `[name, ...arguments, ack?]`. What is returned ends with the answer. */
  onEvent(event: readonly unknown[]): Promise<void> | undefined {
    if (this.#isOver) return undefined;
    const request = this.#begin(event);
    const onBug = (error: unknown) => {
      this.#options.log.error({ err: error, request_id: request.id }, "a handler failed");
      this.#refuse(request, refuse("INTERNAL", "internal error; outcome unknown, retry with the same op"));
    };
    const { unanswered } = this.#options;
    const onAnswered = () => {
      unanswered.count -= 1;
    };
    try {
      const outcome = this.#handle(event, request);
      if (outcome instanceof Promise) {
        unanswered.count += 1;
        return outcome
          .then((settled) => this.#answer(settled, request))
          .catch(onBug)
          .then(onAnswered);
      }
      if (outcome !== undefined) this.#answer(outcome, request);
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
    if (!this.#isOver) this.#refuse(this.#begin(event), refusal);
  }

  #begin(event: readonly unknown[]): Request<C> {
    this.#requests += 1;
    const [name] = event;
    const last = event.at(-1);
    return {
      id: `${this.#connection.id}-${this.#requests}`,
      startedAt: this.#options.clock.monotonic(),
      route: typeof name === "string" ? this.#routes.get(name) : undefined,
      ack: typeof last === "function" ? (last as Ack) : undefined,
    };
  }

  /** What the handler says, a refusal when it does not come so far, nothing when nobody would hear it. */
  #handle(event: readonly unknown[], request: Request<C>): Promise<Handled> | Handled | undefined {
    const { route: found, ack, startedAt } = request;
    if (found === undefined) {
      const [name] = event;
      const text = typeof name === "string" ? `unknown event ${name.slice(0, 64)}` : "an event without a name";
      return refused(refuse("VALIDATION", text, { reason: "UNKNOWN_EVENT" }));
    }
    if (ack === undefined && found.ackOptional === undefined) {
      this.#countRefusal();
      return undefined;
    }
    const over = found.rate === undefined ? undefined : this.#options.rates.take(found.rate, startedAt);
    if (over !== undefined) {
      return over.isOver ? { ...refused(over.refusal), afterAck: () => this.#flooded() } : refused(over.refusal);
    }
    const messages = event.slice(1, ack === undefined ? undefined : -1);
    if (messages.length !== 1) {
      return refused(refuse("VALIDATION", "a request has exactly one argument, an object, and an ack callback"));
    }
    const parsed = parseInput(found.schema, messages[0], this.#options.limits);
    if (!parsed.ok) return refused(parsed.refusal);
    return found.handle(this.#connection, parsed.value as never, { bytes: parsed.bytes });
  }

  #answer(outcome: Handled, request: Request<C>): void {
    if (!outcome.ok) {
      this.#refuse(request, outcome.refusal);
      outcome.afterAck?.();
      return;
    }
    request.ack?.({ ok: true, ...outcome.value });
    outcome.afterAck?.();
    const counts = this.#countsOf(request);
    counts.accepted += 1;
    counts.latencies.observe(this.#options.clock.monotonic() - request.startedAt);
    this.#events.onAnswered();
  }

  #refuse(request: Request<C>, refusal: Refusal): void {
    request.ack?.({ ok: false, error: errorBody(refusal, request.id) });
    this.#countsOf(request).onRefused(refusal.code);
    if (COUNTED.has(refusal.code)) this.#countRefusal();
    this.#events.onAnswered();
  }

  #countsOf({ route: found }: Request<C>): RequestCounts {
    return found?.counts ?? this.#options.unknown;
  }

  #flooded(): void {
    this.end();
    this.#events.onFlood();
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
