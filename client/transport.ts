import type { Ack } from "../shared/messages/ack.ts";
import type { StateHubError } from "./errors.ts";

/** One connection to a hub, from the attempt to its end; never reused. */
export interface Link {
  send(event: string, payload: object): void;
  /** `answered` is called at most once, and never after the link has ended. */
  request<T extends object>(event: string, payload: object, answered: (ack: Ack<T>) => void): void;
  /** Ends the link without a further call to its handlers. */
  close(): void;
}

export interface LinkHandlers {
  /** The hub accepted key and protocol. */
  linked(): void;
  received(event: string, payload: unknown): void;
  /** Once, unless the link was closed from this side. The error's code tells a refusal from a lost connection. */
  ended(cause: StateHubError): void;
}

/** What carries messages: Socket.IO outside, a fake in tests. A new link to the hub at `url`. */
export type Transport = (handlers: LinkHandlers, url: string) => Link;
