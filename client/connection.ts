import type { Ack } from "../shared/messages/ack.ts";
import type { Closing, Drain, Welcome } from "../shared/messages/notices.ts";
import { askedPauseMs, backoffMs } from "./backoff.ts";
import type { Cancel, Clock } from "./clock.ts";
import { type ConnectionEvent, type ConnectionState, INITIAL, nextState, type StopReason } from "./connection-state.ts";
import { fromErrorBody, isWorthRetrying, StateHubError } from "./errors.ts";
import type { HubRotation } from "./hub-rotation.ts";
import type { Link, Transport } from "./transport.ts";

/** What an agent or a viewer does with the connection that is kept for it. */
export interface ConnectionUser {
  /** A new link is there: open the session or join the project, then call `opened()`. */
  linked(): void;
  /** The link is gone; nothing asked on it will be answered. */
  unlinked(): void;
  welcomed(welcome: Welcome): void;
  received(event: string, payload: unknown): void;
  stateChanged(state: ConnectionState): void;
}

export interface ConnectionTimings {
  /** Transport and acceptance of the key. */
  readonly connectTimeoutMs: number;
  /** An answer that takes longer means that the connection is broken: it is replaced, and what was asked is asked again. */
  readonly requestTimeoutMs: number;
}

/**
 * Keeps one link to a hub and replaces it, perhaps by one to another hub, whenever it ends, until it is stopped or the hub says something final.
 * Owns all timers of the connection; its user only sees links come and go.
 */
export class Connection {
  readonly #transport: Transport;
  readonly #hubs: HubRotation;
  readonly #clock: Clock;
  readonly #timings: ConnectionTimings;
  readonly #user: ConnectionUser;
  #state: ConnectionState = INITIAL;
  #link: Link | undefined;
  /** Timers that end with the link: the connect timeout, unanswered requests, the pause of a drain. */
  #linkTimers = new Set<Cancel>();
  #pause: Cancel | undefined;
  /** What the hub said about coming back, before it ended the link. */
  #askedPauseMs: number | undefined;

  constructor(transport: Transport, hubs: HubRotation, clock: Clock, timings: ConnectionTimings, user: ConnectionUser) {
    this.#transport = transport;
    this.#hubs = hubs;
    this.#clock = clock;
    this.#timings = timings;
    this.#user = user;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Of the hub that is connected to, or tried next. */
  get url(): string {
    return this.#hubs.url;
  }

  get isLinked(): boolean {
    return this.#link !== undefined && (this.#state.name === "opening" || this.#state.name === "ready");
  }

  start(): void {
    this.#connect();
  }

  opened(): void {
    if (this.#state.name === "opening") this.#hubs.ready();
    this.#enter({ type: "opened" });
  }

  /** On the same link: the session has to be opened, or the project joined, once more. */
  reopen(): void {
    this.#enter({ type: "reopen" });
  }

  /** Gives the link up and tries again after a pause. */
  lost(cause: StateHubError): void {
    if (this.#state.name === "stopped" || this.#state.name === "waiting") return;
    this.#dropLink();
    const pauseMs = this.#hubs.next(cause.retryAfterMs ?? this.#askedPauseMs);
    if (this.#enter({ type: "lost", cause }).name !== "waiting") return;
    this.#pause?.();
    this.#pause = this.#clock.after(pauseMs, () => {
      this.#pause = undefined;
      this.#connect();
    });
  }

  /** For good; afterwards nothing happens any more. */
  stop(why: StopReason, error?: StateHubError): void {
    if (this.#state.name === "stopped") return;
    this.#pause?.();
    this.#pause = undefined;
    this.#dropLink();
    this.#enter({ type: "stop", why, ...(error === undefined ? {} : { error }) });
  }

  send(event: string, payload: object): void {
    if (this.isLinked) this.#link?.send(event, payload);
  }

  /** Asks on the present link; with no answer in time the link is given up. Unanswered when the link ends before. */
  request<T extends object>(event: string, payload: object, answered: (answer: T | StateHubError) => void): void {
    if (!this.isLinked) return;
    const timer = this.afterOnLink(this.#timings.requestTimeoutMs, () => {
      this.lost(
        new StateHubError("TIMEOUT", `the hub did not answer ${event} within ${this.#timings.requestTimeoutMs} ms`),
      );
    });
    this.#link?.request<T>(event, payload, (ack: Ack<T>) => {
      timer();
      answered(ack?.ok === true ? withoutOk(ack) : ackError(ack, event));
    });
  }

  /** A timer that does not outlive the present link. */
  afterOnLink(ms: number, task: () => void): Cancel {
    const timers = this.#linkTimers;
    const cancel = this.#clock.after(ms, () => {
      timers.delete(cancel);
      task();
    });
    timers.add(cancel);
    return () => {
      timers.delete(cancel);
      cancel();
    };
  }

  /** Pause before asking again on the same link. */
  retryPauseMs(attempt: number, error: StateHubError): number {
    return error.retryAfterMs === undefined
      ? backoffMs(attempt, this.#clock.random())
      : askedPauseMs(error.retryAfterMs, this.#clock.random());
  }

  #connect(): void {
    if (this.#enter({ type: "due" }).name !== "connecting") return;
    this.#askedPauseMs = undefined;
    this.afterOnLink(this.#timings.connectTimeoutMs, () => {
      this.lost(new StateHubError("UNREACHABLE", `no hub answered within ${this.#timings.connectTimeoutMs} ms`));
    });
    const link: Link = this.#transport(
      {
        linked: () => this.#linked(link),
        received: (event, payload) => this.#received(link, event, payload),
        ended: (cause) => {
          if (this.#link === link) this.#ended(cause);
        },
      },
      this.#hubs.url,
    );
    this.#link = link;
  }

  #linked(link: Link): void {
    if (this.#link !== link || this.#state.name !== "connecting") return;
    this.#cancelLinkTimers();
    this.#enter({ type: "linked" });
    this.#user.linked();
  }

  #received(link: Link, event: string, payload: unknown): void {
    if (this.#link !== link) return;
    switch (event) {
      case "welcome":
        this.#user.welcomed(payload as Welcome);
        return;
      case "closing":
        this.#closing(payload as Closing);
        return;
      case "drain":
        this.#drain(payload as Drain);
        return;
      default:
        this.#user.received(event, payload);
    }
  }

  /** The hub ends this link next; only what it says about coming back counts. */
  #closing(closing: Closing): void {
    const error = new StateHubError(closing.code, closing.message, { retryAfterMs: closing.reconnect_after_ms });
    if (!closing.reconnect) this.stop("failed", error);
    else if (closing.reconnect_after_ms !== undefined) this.#askedPauseMs = closing.reconnect_after_ms;
  }

  /** Moves to another hub before this one shuts the door; the hub has spread its clients, so no pause on top of its own. */
  #drain(drain: Drain): void {
    this.#askedPauseMs = drain.reconnect_after_ms;
    this.afterOnLink(askedPauseMs(drain.reconnect_after_ms, this.#clock.random()), () => {
      this.#askedPauseMs = 0;
      this.lost(new StateHubError("DRAINING", "the hub drains and asked to connect again"));
    });
  }

  #ended(cause: StateHubError): void {
    const isRefusal = cause.code !== "UNREACHABLE" && this.#state.name === "connecting";
    if (isRefusal && !isWorthRetrying(cause)) this.stop("failed", cause);
    else this.lost(cause);
  }

  #dropLink(): void {
    this.#cancelLinkTimers();
    const link = this.#link;
    this.#link = undefined;
    if (link === undefined) return;
    link.close();
    this.#user.unlinked();
  }

  #cancelLinkTimers(): void {
    for (const cancel of this.#linkTimers) cancel();
    this.#linkTimers = new Set();
  }

  /** Answers the state after the event; a listener may have moved on from it by then. */
  #enter(event: ConnectionEvent): ConnectionState {
    const before = this.#state;
    this.#state = nextState(before, event);
    if (this.#state !== before) this.#user.stateChanged(this.#state);
    return this.#state;
  }
}

function withoutOk<T extends object>({ ok: _, ...answer }: T & { readonly ok: true }): T {
  // What remains of the ack is the answer's own type.
  return answer as unknown as T;
}

function ackError(ack: unknown, event: string): StateHubError {
  const error = (ack as { error?: unknown } | undefined)?.error;
  if (typeof error === "object" && error !== null && "code" in error) return fromErrorBody(error as never);
  return new StateHubError("INTERNAL", `the hub's answer to ${event} makes no sense`);
}
