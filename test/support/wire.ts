import { io, type Socket } from "socket.io-client";
import { eventually } from "./eventually.ts";
import type { Stage } from "./test-hub.ts";

// biome-ignore lint/suspicious/noExplicitAny: answers are looked into freely; wrong guesses fail the test
export type Json = any;

interface Address {
  readonly url: string;
  readonly key: string;
}

/** A plain Socket.IO client that speaks the protocol by hand, and remembers what it hears. */
export class Wire {
  readonly socket: Socket;
  readonly heard: { readonly event: string; readonly message: Json }[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.onAny((event: string, message: Json) => this.heard.push({ event, message }));
  }

  /** Sends a request and resolves with its ack, whatever it says. */
  ask(event: string, message: unknown): Promise<Json> {
    return this.socket.timeout(15_000).emitWithAck(event, message);
  }

  /** The same, for answers that must be ok. */
  async askOk(event: string, message: unknown): Promise<Json> {
    const answer = await this.ask(event, message);
    if (answer.ok !== true) throw new Error(`${event} was refused: ${JSON.stringify(answer.error)}`);
    return answer;
  }

  messages(event: string): Json[] {
    return this.heard.filter((entry) => entry.event === event).map((entry) => entry.message);
  }

  /** Waits until so many messages of an event were heard, and returns them. */
  async hears(event: string, count = 1, timeoutMs = 10_000): Promise<Json[]> {
    await eventually(`${count} × ${event}`, () => this.messages(event).length >= count, timeoutMs);
    return this.messages(event);
  }

  close(): void {
    this.socket.disconnect();
  }
}

export interface DialOptions {
  readonly auth?: Readonly<Record<string, unknown>>;
  readonly reconnection?: boolean;
}

/** Connects and waits for `welcome`. */
export async function dial(
  stage: Stage,
  hub: Address,
  namespace: "/agents" | "/viewers",
  options: DialOptions = {},
): Promise<Wire> {
  const socket = io(`${hub.url}${namespace}`, {
    transports: ["websocket"],
    forceNew: true,
    reconnection: options.reconnection ?? false,
    auth: { key: hub.key, ...options.auth },
  });
  const wire = stage.add(new Wire(socket), (open) => open.close());
  await new Promise<void>((resolve, reject) => {
    socket.once("welcome", () => resolve());
    socket.once("connect_error", (error) => reject(Object.assign(error, { wire })));
  });
  return wire;
}

export const agent = (stage: Stage, hub: Address, agentId?: string): Promise<Wire> =>
  dial(stage, hub, "/agents", agentId === undefined ? {} : { auth: { agent_id: agentId } });

export const viewer = (stage: Stage, hub: Address): Promise<Wire> => dial(stage, hub, "/viewers");
