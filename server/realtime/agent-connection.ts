import type { Actor } from "../../shared/entities.ts";
import { DEFAULT_LIMITS } from "../../shared/limits.ts";
import type { Published } from "../../shared/messages/changes-publish.ts";
import type { HubToAgent } from "../../shared/messages/down.ts";
import type { Fenced, SessionChanged } from "../../shared/messages/notices.ts";
import type { OwnedSession, OwnerConnection } from "../liveness/owners.ts";
import type { Outcome } from "../writer/outcome.ts";
import type { Peer } from "./handshake.ts";

/** Sends one event to the client at the other end. */
export type EmitToAgent = <E extends keyof HubToAgent>(event: E, ...message: Parameters<HubToAgent[E]>) => void;

/** A publish that is not answered yet: the same op again waits for the same answer. */
interface Unanswered {
  readonly op: number;
  readonly answer: Promise<Outcome<Published>>;
}

/** One agent's connection and the sessions open on it. */
export class AgentConnection implements OwnerConnection {
  readonly id: string;
  readonly peer: Peer;
  readonly owned = new Map<string, OwnedSession>();
  /** By session_id; at most one each. */
  readonly unanswered = new Map<string, Unanswered>();
  /** Sessions that newer owners took from this connection; no more than it could hold. */
  readonly taken = new Set<string>();
  /** Opens under way, for the limit of sessions. */
  opening = 0;
  isClosed = false;
  readonly #emit: EmitToAgent;

  constructor(id: string, peer: Peer, emit: EmitToAgent) {
    this.id = id;
    this.peer = peer;
    this.#emit = emit;
  }

  /** Who acts in the changes that come from here. */
  actor(): Actor {
    return { kind: "agent", id: this.peer.agentId ?? `key:${this.peer.principal.fingerprint}` };
  }

  fenced(message: Fenced): void {
    if (message.reason === "taken") this.#rememberTaken(message.session_id);
    this.#emit("fenced", message);
  }

  #rememberTaken(sessionId: string): void {
    this.taken.add(sessionId);
    const [oldest] = this.taken;
    if (this.taken.size > DEFAULT_LIMITS.sessions_per_connection && oldest !== undefined) this.taken.delete(oldest);
  }

  sessionChanged(message: SessionChanged): void {
    this.#emit("session", message);
  }
}
