import { sessionKey } from "../../shared/ids.ts";
import type { Fenced, SessionChanged } from "../../shared/messages/notices.ts";
import type { Entry, LogChange } from "../domain/records.ts";
import type { Project } from "../writer/project.ts";
import type { Lease } from "./leases.ts";

/** An agent's connection, as far as its sessions need it. */
export interface OwnerConnection {
  readonly id: string;
  /** Its sessions, by session_id. */
  readonly owned: Map<string, OwnedSession>;
  fenced(message: Fenced): void;
  sessionChanged(message: SessionChanged): void;
}

/** A session that is open on a connection of this hub. */
export interface OwnedSession {
  readonly project: Project;
  readonly sessionId: string;
  readonly incarnation: number;
  readonly connection: OwnerConnection;
  readonly lease: Lease;
}

/** Which session is open on which connection of this hub: one connection each. */
export class Owners {
  readonly #hubId: string;
  readonly #owned = new Map<string, OwnedSession>();

  constructor(hubId: string) {
    this.#hubId = hubId;
  }

  get size(): number {
    return this.#owned.size;
  }

  get(projectId: string, sessionId: string): OwnedSession | undefined {
    return this.#owned.get(sessionKey(projectId, sessionId));
  }

  all(): IterableIterator<OwnedSession> {
    return this.#owned.values();
  }

  /**
   * The session now belongs to this connection. One that had it in an earlier incarnation hears `fenced`; one with the
   * same incarnation is the same process's former connection and just no longer has it.
   */
  take(lease: Lease, connection: OwnerConnection): OwnedSession {
    const { key, project, sessionId, incarnation } = lease;
    const former = this.#owned.get(key);
    if (former !== undefined && former.incarnation < incarnation) this.#fence(former, "taken");
    else if (former !== undefined) this.#drop(former);
    const owned: OwnedSession = { project, sessionId, incarnation, connection, lease };
    this.#owned.set(key, owned);
    connection.owned.set(sessionId, owned);
    project.followers += 1;
    return owned;
  }

  /** The connection is gone: its sessions are open nowhere, until their agent returns; their leases run on. */
  release(connection: OwnerConnection): void {
    for (const owned of connection.owned.values()) this.#drop(owned);
  }

  /** Tells owners what others did to their sessions. */
  onEntry(project: Project, entry: Entry): void {
    if (this.#owned.size === 0) return;
    for (const change of entry.changes) {
      if (change.kind !== "session") continue;
      const owned = this.#owned.get(sessionKey(project.id, change.session_id));
      if (owned !== undefined) this.#onChange(owned, change);
    }
  }

  #onChange(owned: OwnedSession, change: LogChange): void {
    if (change.type === "removed") {
      this.#fence(owned, "ended");
      return;
    }
    const incarnation = change.incarnation ?? 0;
    if (incarnation > owned.incarnation) {
      this.#fence(owned, "taken");
      return;
    }
    const isOwn = change.actor.kind === "agent" && incarnation === owned.incarnation;
    if (!isOwn && change.patch !== undefined) {
      owned.connection.sessionChanged({
        session_id: owned.sessionId,
        version: change.version,
        patch: change.patch,
        actor: change.actor,
      });
    }
    if (change.type === "ended" && !isOwn) this.#fence(owned, "ended");
    else if (change.type === "ended" || this.#isElsewhere(change)) this.#drop(owned);
  }

  /** The same process came back through another hub: the connection here just no longer has the session. */
  #isElsewhere({ patch }: LogChange): boolean {
    return patch?.hub_id !== undefined && patch.hub_id !== this.#hubId;
  }

  #fence(owned: OwnedSession, reason: Fenced["reason"]): void {
    this.#drop(owned);
    owned.connection.fenced({ session_id: owned.sessionId, incarnation: owned.incarnation, reason });
  }

  #drop(owned: OwnedSession): void {
    const { key } = owned.lease;
    if (this.#owned.get(key) === owned) this.#owned.delete(key);
    if (owned.connection.owned.get(owned.sessionId) === owned) owned.connection.owned.delete(owned.sessionId);
    owned.project.followers -= 1;
  }
}
