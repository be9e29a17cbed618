import type { BOUNDS } from "../bounds.ts";
import type { VerdictCommand } from "../domain/commands.ts";
import { dueVerdict, type LeaseTerms } from "../domain/liveness.ts";
import type { Clock } from "../ports.ts";
import type { Writer } from "../writer/writer.ts";
import type { ActiveTime } from "./active-time.ts";
import type { Lease, Leases } from "./leases.ts";

interface Options {
  readonly hubId: string;
  readonly leases: Leases;
  readonly writer: Pick<Writer, "submit">;
  readonly clock: Clock;
  readonly active: Pick<ActiveTime, "now">;
  /** In force now. */
  readonly terms: () => LeaseTerms;
  /** Whether the session is open on a connection of this hub. */
  readonly isOpen: (projectId: string, sessionId: string) => boolean;
  readonly bounds: Pick<
    typeof BOUNDS,
    "leaseSweepMs" | "stallMs" | "verdictsInFlight" | "verdictRetryMs" | "verdictLateMs" | "verdictBytes"
  >;
}

type Verdict = NonNullable<ReturnType<typeof dueVerdict>>;

/**
 * Looks through the leases and asks for the verdicts that are due; the commit asks again whether they still hold. One
 * pass over all of them costs a millisecond for 20,000.
 */
export class LeaseSweep {
  readonly #options: Options;
  readonly #timer: NodeJS.Timeout;
  #judging = 0;
  /**
   * MongoDB did not decide the last verdict, so nothing could be opened on any hub; and the active time of its return, or
   * of this hub's after a pause.
   */
  #isAway = false;
  #backAt = Number.NEGATIVE_INFINITY;
  /** Monotonic time of the last sweep, and before which there is none that judges. */
  #sweptAt: number;
  #restUntil = 0;
  #isPaused = false;

  constructor(options: Options) {
    this.#options = options;
    this.#sweptAt = options.clock.monotonic();
    // Behind the poll phase of the event loop: what waits in the sockets by now is heard before anybody is judged.
    this.#timer = setInterval(() => setImmediate(() => this.#sweep()), options.bounds.leaseSweepMs);
  }

  /** From now on nobody is judged: a hub that stops says nothing about its agents. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Agents could not be open here: as after MongoDB was away, each has a ttl to come back. */
  resume(): void {
    this.#isPaused = false;
    this.#backAt = this.#options.active.now();
  }

  /** For good. */
  stop(): void {
    this.pause();
    clearInterval(this.#timer);
  }

  #sweep(): void {
    const { clock, bounds } = this.#options;
    const now = clock.monotonic();
    // After a stall much is waiting to be heard, more perhaps than one turn has read.
    const isLate = now - this.#sweptAt > bounds.leaseSweepMs + bounds.stallMs;
    this.#sweptAt = now;
    if (isLate || now < this.#restUntil || this.#isPaused) return;
    if (this.#isAway) this.#probe();
    else this.#judgeDue();
  }

  #judgeDue(): void {
    const due = this.#dueNow();
    for (const lease of this.#options.leases.all()) {
      if (this.#judging >= this.#options.bounds.verdictsInFlight) return;
      if (lease.isJudging) continue;
      const verdict = due(lease);
      if (verdict !== undefined && !this.#isExcused(lease)) void this.#judge(lease, verdict);
      else if (lease.liveness === "lost" && !this.#isOpen(lease)) this.#options.leases.drop(lease);
    }
  }

  /** Any verdict, due or not, tells whether MongoDB is back. */
  #probe(): void {
    if (this.#judging > 0) return;
    const [lease] = this.#options.leases.all();
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
    const { hubId, leases, writer, clock, active, bounds } = this.#options;
    const askedAt = clock.monotonic();
    const isDue = () => leases.has(lease) && this.#dueNow()(lease) === to;
    let isLate = false;
    const command: VerdictCommand = {
      type: "verdict",
      session_id: lease.sessionId,
      to,
      condition: { hub_id: hubId, incarnation: lease.incarnation, liveness: lease.liveness },
      holds: () => {
        isLate = clock.monotonic() - askedAt > bounds.verdictLateMs;
        if (this.#isPaused || !isDue() || this.#isExcused(lease)) return false;
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
    if (!leases.has(lease)) return;
    if (!outcome.ok) {
      leases.drop(lease);
      return;
    }
    const { entity } = outcome.value.session;
    // The log may have gone on since the decision.
    if (entity.version >= lease.version) leases.follow(lease.project, entity);
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
