import { io } from "socket.io-client";
import type { HandshakeAuth } from "../shared/messages/handshake.ts";
import type { Expiring } from "../shared/messages/notices.ts";
import { PROTOCOL_VERSION } from "../shared/protocol.ts";
import { connectFailure } from "./connect-failure.ts";
import { StateHubError } from "./errors.ts";
import { KeyRefresh, type RefreshAck } from "./key-refresh.ts";
import { type KeySource, keyFrom } from "./key-source.ts";
import type { Network } from "./network.ts";
import type { Transport } from "./transport.ts";
import { CLIENT_VERSION } from "./version.ts";

export interface SocketOptions {
  readonly urls: readonly string[];
  readonly namespace: string;
  readonly key: KeySource;
  readonly agentId?: string;
  readonly connectTimeoutMs: number;
  readonly network: Network | undefined;
}

/**
 * A fresh socket for every link: Socket.IO's own reconnection and its send buffer are off, because a message must never
 * be sent twice or late without the outbox knowing of it.
 */
export function socketTransport(options: SocketOptions): Transport {
  const auth: HandshakeAuth = {
    protocol: PROTOCOL_VERSION,
    client: `state-hub-js/${CLIENT_VERSION}`,
    ...(options.agentId === undefined ? {} : { agent_id: options.agentId }),
  };
  // Made now: an address or a setting that can never work is told to the caller.
  const agents = new Map(options.urls.map((url) => [url, options.network?.agentFor(url)]));
  /** A token may expire on its way; a second refusal is the hub's word. */
  let mayHaveExpired = typeof options.key === "function";
  return (handlers, url) => {
    const agent = agents.get(url);
    const socket = io(namespaceUrl(url, options.namespace), {
      auth: (send) => {
        keyFrom(options.key).then((key) => {
          if (!over) send({ ...auth, key });
        }, end);
      },
      transports: ["websocket"],
      forceNew: true,
      reconnection: false,
      timeout: options.connectTimeoutMs,
      autoConnect: false,
      // Node's alone, and declared as what browsers can do with it: nothing.
      ...(agent === undefined ? {} : { agent: agent as never }),
    });
    let over = false;
    const ask = (key: string, answered: (ack: RefreshAck) => void) => {
      if (socket.connected) socket.emit("auth:refresh", { key }, answered);
    };
    const refresh = typeof options.key === "function" ? new KeyRefresh(options.key, ask) : undefined;
    const shut = () => {
      over = true;
      refresh?.stop();
      socket.removeAllListeners();
      socket.io.removeAllListeners();
      // A late error of the engine has nobody to go to; without a listener it would be thrown.
      socket.io.on("error", () => {});
      socket.disconnect();
    };
    const end = (cause: StateHubError) => {
      if (over) return;
      shut();
      handlers.ended(cause);
    };
    socket.on("connect", () => {
      mayHaveExpired = refresh !== undefined;
      handlers.linked();
    });
    socket.onAny((event: string, payload: unknown) => {
      if (over) return;
      if (event === "expiring") refresh?.expiring(payload as Expiring);
      handlers.received(event, payload);
    });
    socket.on("connect_error", (error) => {
      const refusal = connectError(error, url);
      const isExpired = mayHaveExpired && refusal.code === "UNAUTHENTICATED";
      mayHaveExpired &&= !isExpired;
      end(isExpired ? new StateHubError("UNREACHABLE", "the hub refused the key; another is asked for") : refusal);
    });
    socket.on("disconnect", (reason) => end(new StateHubError("UNREACHABLE", `connection to the hub lost: ${reason}`)));
    // The transport may die while the namespace is neither accepted nor refused. A close from this side ("forced") comes
    // just before the event that tells its reason.
    socket.io.on("close", (reason) => {
      if (reason !== "forced close") end(new StateHubError("UNREACHABLE", `connection to the hub lost: ${reason}`));
    });
    socket.connect();
    return {
      send: (event, payload) => {
        if (!over && socket.connected) socket.emit(event, payload);
      },
      request: (event, payload, answered) => {
        if (!over && socket.connected) {
          socket.emit(event, payload, (ack: never) => {
            if (!over) answered(ack);
          });
        }
      },
      close: () => {
        if (!over) shut();
      },
    };
  };
}

function namespaceUrl(url: string, namespace: string): string {
  return new URL(namespace, url).href;
}

/** The hub's refusals carry `data.code`; everything else is a transport that did not come about. */
function connectError(error: Error & { data?: unknown }, url: string): StateHubError {
  const data = error.data as { code?: unknown; message?: unknown; retry_after_ms?: unknown } | undefined;
  if (typeof data?.code === "string") {
    return new StateHubError(data.code, typeof data.message === "string" ? data.message : error.message, {
      // A refusal does not tell; of a code of a later release, naming a time to come back does.
      retryable: typeof data.retry_after_ms === "number",
      retryAfterMs: typeof data.retry_after_ms === "number" ? data.retry_after_ms : undefined,
    });
  }
  if (error.message === "Invalid namespace") {
    return new StateHubError("UNREACHABLE", `what answers at ${url} is not a State Hub`, { cause: error });
  }
  return new StateHubError("UNREACHABLE", `no hub answers at ${url} (${connectFailure(error, url)})`, { cause: error });
}
