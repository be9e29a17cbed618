import { StateHubError } from "../../client/errors.ts";
import type { Link, LinkHandlers, Transport } from "../../client/transport.ts";
import { DEFAULT_LIMITS } from "../../shared/limits.ts";

interface Sent {
  readonly event: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever was sent
  readonly payload: any;
  /** Undefined for a message without an ack. */
  readonly answer: ((ack: object) => void) | undefined;
}

/** The hub's end of the connection, in the hands of a test: nothing happens by itself. */
export class FakeLink implements Link {
  readonly sent: Sent[] = [];
  isOpen = true;
  /** Of the hub that was asked for. */
  readonly url: string;
  readonly #handlers: LinkHandlers;

  constructor(handlers: LinkHandlers, url: string) {
    this.#handlers = handlers;
    this.url = url;
  }

  send(event: string, payload: object): void {
    this.sent.push({ event, payload: structuredClone(payload), answer: undefined });
  }

  request(event: string, payload: object, answered: (ack: never) => void): void {
    const answer = (ack: object) => {
      if (this.isOpen) answered(ack as never);
    };
    this.sent.push({ event, payload: structuredClone(payload), answer });
  }

  close(): void {
    this.isOpen = false;
  }

  accept(welcome: object = {}): void {
    this.#handlers.linked();
    this.emit("welcome", {
      protocol: 1,
      hub_id: "hub.1",
      time: "2026-11-22T06:00:00.000Z",
      role: "operator",
      limits: DEFAULT_LIMITS,
      lease: { interval_ms: 5_000, ttl_ms: 15_000 },
      stalled_after_ms: 600_000,
      ...welcome,
    });
  }

  refuse(code: string, message = code, retryAfterMs?: number): void {
    this.isOpen = false;
    this.#handlers.ended(new StateHubError(code, message, { retryAfterMs }));
  }

  emit(event: string, payload: object): void {
    if (this.isOpen) this.#handlers.received(event, payload);
  }

  cut(): void {
    this.isOpen = false;
    this.#handlers.ended(new StateHubError("UNREACHABLE", "cut"));
  }

  /** Messages of one kind, oldest first. */
  all(event: string): Sent[] {
    return this.sent.filter((sent) => sent.event === event);
  }

  last(event: string): Sent {
    const sent = this.all(event).at(-1);
    if (sent === undefined)
      throw new Error(`no ${event} was sent; sent: ${this.sent.map((one) => one.event).join(", ")}`);
    return sent;
  }
}

/** Hands out one FakeLink per connection attempt. */
export class FakeTransport {
  readonly links: FakeLink[] = [];

  readonly connect: Transport = (handlers, url) => {
    const link = new FakeLink(handlers, url);
    this.links.push(link);
    return link;
  };

  get link(): FakeLink {
    const link = this.links.at(-1);
    if (link === undefined) throw new Error("nothing has connected yet");
    return link;
  }
}

export function refusal(code: string, extra: object = {}): object {
  return { ok: false, error: { code, message: code, retryable: false, request_id: "r1", ...extra } };
}
