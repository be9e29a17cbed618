import type { FinalStatus, Session, SessionStatus } from "../shared/entities.ts";
import type { JsonObject } from "../shared/json.ts";
import type { Fenced, SessionChanged } from "../shared/messages/notices.ts";
import type { ConnectionState } from "./connection-state.ts";
import type { StateHubError } from "./errors.ts";
import type { KeySource } from "./key-source.ts";
import type { Network } from "./network.ts";
import type { OutboxDepth } from "./outbox-budget.ts";
import type { Spool, Undelivered } from "./spool.ts";

export interface AgentOptions {
  /**
   * e.g. `http://127.0.0.1:3000`. Of several hubs (a list, or a text with commas) each client tries them in an order of its
   * own; when one fails, the next is tried at once.
   */
  readonly url: string | readonly string[];
  /** API key or token with the role agent or operator; or what is asked for one, at each connect and before one expires. */
  readonly key: KeySource;
  /**
   * Who this agent is. A new process with the same id takes its sessions over at once; without one it is the id in the
   * spool, else a random one, so that a crashed agent's session can be taken only when the hub has missed its heartbeats.
   */
  readonly agentId?: string;
  /** What may wait for the hub's word, over all sessions; beyond it `publish()` is refused with `OUTBOX_FULL`. */
  readonly outbox?: {
    /** Default 10,000. */
    readonly maxPublishes?: number;
    /** Of their JSON. Default 4 MiB. */
    readonly maxBytes?: number;
  };
  /** Keeps what is not delivered beyond a crash of this process: `openSpool` of `@state-hub/client/spool`. */
  readonly spool?: Spool;
  /** Private certificate authority or HTTP proxy: `nodeNetwork()` of `@state-hub/client/network`. */
  readonly network?: Network;
  /** Default 10 s. */
  readonly connectTimeoutMs?: number;
  /** Default 20 s: well above the 5 s after which a hub says that its database does not answer. */
  readonly requestTimeoutMs?: number;
}

export interface SessionSpec {
  readonly sessionId: string;
  /** Default `default`. */
  readonly projectId?: string;
  /** Default: the host's name where the runtime tells it, else `unknown`. */
  readonly machineId?: string;
  /** Default `ACTIVE`. This and the fields below are ignored by the hub when the session exists already. */
  readonly status?: SessionStatus;
  readonly environment?: string;
  readonly metadata?: JsonObject;
  readonly parentSessionId?: string;
  readonly resumedFrom?: string;
  /** Take the session although another agent's lease is valid. Used for the first open only. */
  readonly takeover?: boolean;
}

/** What an agent says about a session between changes: kept in memory by the hub, never logged. */
export interface BeatInfo {
  /** 0 to 1. */
  readonly progress?: number;
  /** What it does right now, cut to 200 characters. */
  readonly activity?: string;
  readonly metrics?: Readonly<Record<string, number>>;
}

export interface PublishOptions {
  /** Never merged with neighbours, so the log shows it as a change of its own. */
  readonly alone?: boolean;
  /**
   * Only the newest of these values matters: while it waits, a later publish with `latest` overwrites it in its place,
   * and both settle together. Task statuses are steps and are never left out.
   */
  readonly latest?: boolean;
}

export interface CloseOptions {
  /** Also end every session that is still open. Without it they stay open, and the hub will call them stale, then lost. */
  readonly status?: FinalStatus;
  /** Default 30,000; `Infinity` waits until the hub has everything. */
  readonly timeoutMs?: number;
}

export interface OpenedSession {
  readonly session: Session;
  /** Made by this open, not found. */
  readonly created: boolean;
  /** The same owner came back, after a loss of the connection, of the hub, or of the process (with a spool). */
  readonly resumed: boolean;
}

/**
 * `opening`: the hub is away, or has been asked. `open`: the hub knows this agent as the owner. `over`, for good:
 * `closed` by this agent, `fenced` by a newer owner or an end from outside, `failed` with the reason why it cannot be
 * opened, or `left` when the agent stopped and the session stayed open.
 */
export type SessionState =
  | { readonly name: "opening" }
  | { readonly name: "open" }
  | { readonly name: "over"; readonly why: "closed" | "fenced" | "failed" | "left"; readonly error?: StateHubError };

export interface SessionEvents {
  state: SessionState;
  /** After every open, the first one and those after a loss of the connection. */
  opened: OpenedSession;
  /** An operator or the hub changed the session; `session.current` has it already. */
  changed: SessionChanged;
  /** Final: a newer agent owns the session, or someone ended it. Stop working on it. */
  fenced: Fenced;
  /** A refused publish (its promise rejects too), or the reason why the session cannot be opened. */
  error: StateHubError;
}

export interface AgentEvents {
  state: ConnectionState;
  /** What waits for the hub's word has changed; at most once per turn of the event loop. */
  outbox: OutboxDepth;
  /** A publish of an earlier process, from the spool, that the hub refused; `keptIn` names the file that has it. */
  undelivered: Undelivered & { readonly keptIn: string | undefined };
  /** The reason why the agent stopped, or trouble with the spool. */
  error: StateHubError;
}
