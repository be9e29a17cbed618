import { isFinal, type Session } from "../../shared/entities.ts";
import { sessionKey } from "../../shared/ids.ts";
import type { BOUNDS } from "../bounds.ts";
import type { Entry, LogChange } from "../domain/records.ts";
import type { Project } from "../writer/project.ts";
import type { ActiveTime } from "./active-time.ts";

interface Options {
  readonly hubId: string;
  readonly active: Pick<ActiveTime, "now">;
  readonly bounds: Pick<typeof BOUNDS, "leases">;
}

/** This hub's belief that the agent of a session lives. It outlives the connection: losing that is no verdict. */
export interface Lease {
  readonly key: string;
  readonly project: Project;
  readonly sessionId: string;
  readonly incarnation: number;
  /** Active time of the agent's last sign of life. */
  heardAt: number;
  /** `heardAt` as it was at the last verdict against the agent: only a later one brings it back. */
  heardBefore: number;
  /** What the log says, since which active time, and the version that says so. */
  liveness: Session["liveness"];
  judgedAt: number;
  version: number;
  /** A verdict is on its way. */
  isJudging: boolean;
}

/**
 * The leases of the sessions that the log gives to this hub: which ones there are and what was said of them comes from
 * the log alone, so an open whose outcome nobody heard has one too. Who is silent is for the sweep to say.
 *
 * A lease ends when its session ends, when another hub or a newer owner has it, or when it is lost and open nowhere
 * here. So there are at most `leases` (opens beyond are refused), of which those without a connection are gone soon
 * after ttl and grace, as long as MongoDB takes verdicts.
 */
export class Leases {
  readonly #options: Options;
  readonly #leases = new Map<string, Lease>();

  constructor(options: Options) {
    this.#options = options;
  }

  get size(): number {
    return this.#leases.size;
  }

  all(): IterableIterator<Lease> {
    return this.#leases.values();
  }

  /** Whether the lease has not ended. */
  has(lease: Lease): boolean {
    return this.#leases.get(lease.key) === lease;
  }

  /** Whether one more session may be opened here. */
  hasRoomFor(projectId: string, sessionId: string): boolean {
    return this.#leases.size < this.#options.bounds.leases || this.#leases.has(sessionKey(projectId, sessionId));
  }

  /** The lease of a session that was opened here just now, renewed; undefined when it is no longer this hub's. */
  hold(project: Project, session: Session): Lease | undefined {
    this.follow(project, session);
    const lease = this.#leases.get(sessionKey(project.id, session.session_id));
    if (lease?.incarnation !== session.incarnation) return undefined;
    this.renew(lease);
    return lease;
  }

  /** A sign of life. */
  renew(lease: Lease): void {
    lease.heardAt = this.#options.active.now();
  }

  /** The owner has shown itself, though the session is not (or not yet) open on its connection. */
  onOwnerSeen(projectId: string, sessionId: string, incarnation: number): void {
    const lease = this.#leases.get(sessionKey(projectId, sessionId));
    if (lease?.incarnation === incarnation) this.renew(lease);
  }

  /** Follows what the log says of sessions. */
  onEntry(project: Project, entry: Entry): void {
    const isOwn = entry.hub_id === this.#options.hubId;
    if (!isOwn && this.#leases.size === 0) return;
    for (const change of entry.changes) {
      if (change.kind !== "session" || !mayMatter(change)) continue;
      if (change.type === "removed") {
        const lease = this.#leases.get(sessionKey(project.id, change.session_id));
        if (lease !== undefined) this.drop(lease);
        continue;
      }
      const session = project.peek(change.session_id)?.session?.entity ?? (change.state as Session | undefined);
      if (session !== undefined) this.follow(project, session);
      else this.#followPatch(sessionKey(project.id, change.session_id), change);
    }
  }

  /** What the log says of a session at the head. */
  follow(project: Project, session: Session): void {
    const key = sessionKey(project.id, session.session_id);
    const lease = this.#leases.get(key);
    const isOurs = session.hub_id === this.#options.hubId && !isFinal(session.status);
    if (isOurs && lease?.incarnation === session.incarnation) {
      this.#learn(lease, session.liveness, session.version);
      return;
    }
    if (lease !== undefined) this.drop(lease);
    if (isOurs && session.liveness !== "lost") this.#begin(key, project, session);
  }

  /** Nothing more is to be said of the session from here. */
  drop(lease: Lease): void {
    this.#leases.delete(lease.key);
    lease.project.followers -= 1;
  }

  /** What the log says of a session that is not in memory any more: as much as is in the patch. */
  #followPatch(key: string, { patch, version }: LogChange): void {
    const lease = this.#leases.get(key);
    if (lease === undefined) return;
    const { hub_id = this.#options.hubId, liveness = lease.liveness } = (patch ?? {}) as Partial<Session>;
    if (hub_id !== this.#options.hubId || liveness === "ended") this.drop(lease);
    else this.#learn(lease, liveness, version);
  }

  #learn(lease: Lease, liveness: Session["liveness"], version: number): void {
    if (liveness !== lease.liveness) {
      lease.judgedAt = this.#options.active.now();
      // Another hub's verdict: what was heard before it does not speak against it.
      if (liveness !== "online" && !lease.isJudging) lease.heardBefore = lease.heardAt;
    }
    lease.liveness = liveness;
    lease.version = version;
  }

  #begin(key: string, project: Project, session: Session): void {
    const now = this.#options.active.now();
    this.#leases.set(key, {
      key,
      project,
      sessionId: session.session_id,
      incarnation: session.incarnation,
      heardAt: now,
      heardBefore: now,
      liveness: session.liveness,
      judgedAt: now,
      version: session.version,
      isJudging: false,
    });
    project.followers += 1;
  }
}

/** Nearly all changes are an agent's own: whose the session is and how it lives is left as it was. */
function mayMatter({ type, patch }: LogChange): boolean {
  return type !== "updated" || patch?.hub_id !== undefined || patch?.liveness !== undefined;
}
