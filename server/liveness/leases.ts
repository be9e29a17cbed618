import { isFinal, type Session } from "../../shared/entities.ts";
import { sessionKey } from "../../shared/ids.ts";
import type { BOUNDS } from "../bounds.ts";
import type { VerdictCommand } from "../domain/commands.ts";
import { dueVerdict, type LeaseTerms } from "../domain/liveness.ts";
import type { Entry, LogChange } from "../domain/records.ts";
import type { Clock } from "../ports.ts";
import type { Project } from "../writer/project.ts";
import type { Writer } from "../writer/writer.ts";
import type { ActiveTime } from "./active-time.ts";

interface Options {
  readonly hubId: string;
  readonly writer: Pick<Writer, "submit">;
  readonly clock: Clock;
  readonly active: Pick<ActiveTime, "now">;
  /** In force now. */
  readonly terms: () => LeaseTerms;
  /** Whether the session is open on a connection of this hub. */
  readonly isOpen: (projectId: string, sessionId: string) => boolean;
  readonly bounds: Pick<
    typeof BOUNDS,
    "leases" | "leaseSweepMs" | "stallMs" | "verdictsInFlight" | "verdictRetryMs" | "verdictLateMs" | "verdictBytes"
  >;
}

type Verdict = NonNullable<ReturnType<typeof dueVerdict>>;

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
 * the log alone, so an open whose outcome nobody heard has one too. Every sweep asks for the verdicts that are due; the
 * commit asks again whether they still hold.
 *
 * A lease ends when its session ends, when another hub or a newer owner has it, or when it is lost and open nowhere
 * here. So there are at most `leases` (opens beyond are refused), of which those without a connection are gone soon
 * after ttl and grace, as long as MongoDB takes verdicts.
 */
export class Leases {
  readonly #options: Options;
  readonly #leases = new Map<string, Lease>();
  readonly #timer: NodeJS.Timeout;
  #judging = 0;
  /** MongoDB did not decide the last verdict, so nothing could be opened on any hub; and the active time of its return. */
  #isAway = false;
  #backAt = Number.NEGATIVE_INFINITY;
  /** Monotonic time of the last sweep, and before which there is none that judges. */
  #sweptAt: number;
  #restUntil = 0;
  #isStopped = false;

  constructor(options: Options) {
    this.#options = options;
    this.#sweptAt = options.clock.monotonic();
    // Behind the poll phase of the event loop: what waits in the sockets by now is heard before anybody is judged.
    this.#timer = setInterval(() => setImmediate(() => this.#sweep()), options.bounds.leaseSweepMs);
  }

  get size(): number {
    return this.#leases.size;
  }

  /** Whether one more session may be opened here. */
  hasRoomFor(projectId: string, sessionId: string): boolean {
    return this.#leases.size < this.#options.bounds.leases || this.#leases.has(sessionKey(projectId, sessionId));
  }

  /** The lease of a session that was opened here just now, renewed; undefined when it is no longer this hub's. */
  hold(project: Project, session: Session): Lease | undefined {
    this.#follow(project, session);
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
      const session = project.peek(change.session_id)?.session?.entity ?? (change.state as Session | undefined);
      if (session !== undefined) this.#follow(project, session);
      else this.#followPatch(sessionKey(project.id, change.session_id), change);
    }
  }

  /** From now on nobody is judged: a hub that stops says nothing about its agents. */
  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#timer);
  }

  /** What the log says of a session at the head. */
  #follow(project: Project, session: Session): void {
    const key = sessionKey(project.id, session.session_id);
    const lease = this.#leases.get(key);
    const isOurs = session.hub_id === this.#options.hubId && !isFinal(session.status);
    if (isOurs && lease?.incarnation === session.incarnation) {
      this.#learn(lease, session.liveness, session.version);
      return;
    }
    if (lease !== undefined) this.#drop(lease);
    if (isOurs && session.liveness !== "lost") this.#begin(key, project, session);
  }

  /** The same where the session is not in memory any more: as much as its patch says. */
  #followPatch(key: string, { patch, version }: LogChange): void {
    const lease = this.#leases.get(key);
    if (lease === undefined) return;
    const { hub_id = this.#options.hubId, liveness = lease.liveness } = (patch ?? {}) as Partial<Session>;
    if (hub_id !== this.#options.hubId || liveness === "ended") this.#drop(lease);
    else this.#learn(lease, liveness, version);
  }

  #learn(lease: Lease, liveness: Session["liveness"], version: number): void {
    if (liveness !== lease.liveness) lease.judgedAt = this.#options.active.now();
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

  #drop(lease: Lease): void {
    this.#leases.delete(lease.key);
    lease.project.followers -= 1;
  }

  #sweep(): void {
    const { clock, bounds } = this.#options;
    const now = clock.monotonic();
    // After a stall much is waiting to be heard, more perhaps than one turn has read.
    const isLate = now - this.#sweptAt > bounds.leaseSweepMs + bounds.stallMs;
    this.#sweptAt = now;
    if (isLate || now < this.#restUntil || this.#isStopped) return;
    if (this.#isAway) this.#probe();
    else this.#judgeDue();
  }

  #judgeDue(): void {
    const due = this.#dueNow();
    for (const lease of this.#leases.values()) {
      if (this.#judging >= this.#options.bounds.verdictsInFlight) return;
      if (lease.isJudging) continue;
      const verdict = due(lease);
      if (verdict !== undefined && !this.#isExcused(lease)) void this.#judge(lease, verdict);
      else if (lease.liveness === "lost" && !this.#isOpen(lease)) this.#drop(lease);
    }
  }

  /** Any verdict, due or not, tells whether MongoDB is back. */
  #probe(): void {
    if (this.#judging > 0) return;
    const [lease] = this.#leases.values();
    if (lease === undefined) this.#isAway = false;
    else void this.#judge(lease, this.#dueNow()(lease) ?? "online");
  }

  /** The verdict that is due at this moment, for any number of leases. */
  #dueNow(): (lease: Lease) => Verdict | undefined {
    const now = this.#options.active.now();
    const terms = this.#options.terms();
    return ({ liveness, heardAt, heardBefore, judgedAt }) =>
      dueVerdict(
        liveness,
        { silentMs: now - heardAt, judgedMs: now - judgedAt, isHeardSince: heardAt > heardBefore },
        terms,
      );
  }

  async #judge(lease: Lease, to: Verdict): Promise<void> {
    const { hubId, writer, clock, active, bounds } = this.#options;
    const askedAt = clock.monotonic();
    const isDue = () => this.#leases.get(lease.key) === lease && this.#dueNow()(lease) === to;
    let isLate = false;
    const command: VerdictCommand = {
      type: "verdict",
      session_id: lease.sessionId,
      to,
      condition: { hub_id: hubId, incarnation: lease.incarnation, liveness: lease.liveness },
      holds: () => {
        isLate = clock.monotonic() - askedAt > bounds.verdictLateMs;
        if (this.#isStopped || !isDue() || this.#isExcused(lease)) return false;
        return !isLate || this.#isOpen(lease);
      },
      actor: { kind: "hub", id: hubId },
    };
    if (to !== "online") lease.heardBefore = lease.heardAt;
    lease.isJudging = true;
    this.#judging += 1;
    const outcome = await writer.submit(lease.project.id, command, bounds.verdictBytes);
    this.#judging -= 1;
    lease.isJudging = false;
    if (!outcome.ok && outcome.refusal.code !== "NOT_FOUND") {
      this.#isAway = true;
      this.#restUntil = clock.monotonic() + bounds.verdictRetryMs;
      return;
    }
    if (this.#isAway || isLate) this.#backAt = active.now();
    this.#isAway = false;
    if (this.#leases.get(lease.key) !== lease) return;
    if (!outcome.ok) this.#drop(lease);
    else this.#onDecided(lease, outcome.value.session.entity);
  }

  /** What the log said when the verdict was decided; it may have gone on since. */
  #onDecided(lease: Lease, session: Session): void {
    if (session.version >= lease.version) this.#follow(lease.project, session);
  }

  /** An agent without a connection could not come back while MongoDB was away: it has a ttl from its return. */
  #isExcused(lease: Lease): boolean {
    const { active, terms } = this.#options;
    const mayHaveTried = this.#isAway || active.now() - this.#backAt < terms().ttlMs;
    return mayHaveTried && !this.#isOpen(lease);
  }

  #isOpen({ project, sessionId }: Lease): boolean {
    return this.#options.isOpen(project.id, sessionId);
  }
}

/** Nearly all changes are an agent's own: whose the session is and how it lives is left as it was. */
function mayMatter({ type, patch }: LogChange): boolean {
  return type !== "updated" || patch?.hub_id !== undefined || patch?.liveness !== undefined;
}
