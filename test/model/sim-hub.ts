import { BOUNDS as ALL_BOUNDS } from "../../server/bounds.ts";
import type { Answer, Command } from "../../server/domain/commands.ts";
import { Purges } from "../../server/forgetting/purges.ts";
import { OtherHubs } from "../../server/liveness/other-hubs.ts";
import type { MemoryBase } from "../../server/memory/base.ts";
import type { MemoryBeats } from "../../server/memory/beats.ts";
import type { MemoryChangeLog } from "../../server/memory/change-log.ts";
import { MemoryHeldSessions } from "../../server/memory/held-sessions.ts";
import type { MemoryHubs } from "../../server/memory/hubs.ts";
import type { MemoryProjections } from "../../server/memory/projections.ts";
import type { MemoryPurges } from "../../server/memory/purges.ts";
import type { Beats, FanOut, HeldSessions, Hubs, Logger, PurgeStore } from "../../server/ports.ts";
import { Retention } from "../../server/retention/retention.ts";
import type { Outcome } from "../../server/writer/outcome.ts";
import { approximateBytes } from "../../server/writer/project.ts";
import { repairAll } from "../../server/writer/repair.ts";
import type { Session } from "../../shared/entities.ts";
import { sessionKey } from "../../shared/ids.ts";
import { Core } from "../support/core.ts";
import type { VirtualTime } from "../support/virtual-time.ts";
import { FaultyBase } from "./faulty-base.ts";
import { FaultyChangeLog, FaultyProjections, type MajorityLag, type Wire } from "./faulty-ports.ts";

/** After how long without a rise of its row a hub is dead. */
export const HUB_DEATH_MS = 150;

/** Small, so that every bound is met in a short history. */
const BOUNDS = {
  queuedPerProject: 40,
  entryChanges: 6,
  entryBytes: 4_000,
  commitDeadlineMs: 200,
  commitSweepMs: 20,
  turnMs: 5,
  turnHubs: 2,
  lostRaceLookMs: 1,
  unknownRetryFirstMs: 5,
  unknownRetryLastMs: 40,
  stateEveryVersions: 4,
  recentChanges: 12,
  recentBytes: 6_000,
  cachedFamilies: 3,
  familiesPerLoad: 2,
  entriesPerRead: 4,
  idleProjectMs: 150,
  headConfirmedMs: 200,
  trimSweepMs: 40,
  trimChanges: 4,
  trimPauseMs: 1,
  trimPauseFactor: 1,
  trimSlowMs: 60,
  trimSlowPauseMs: 30,
  projectionBatch: 3,
  projectedRanges: 3,
  raiseProjectedMs: 40,
  projectionHoleMs: 80,
  headPollMs: 40,
  activeTickMs: 50,
  stallMs: 50,
  leaseSweepMs: 12,
  verdictsInFlight: 2,
  verdictRetryMs: 20,
  verdictLateMs: 60,
  hubRaiseMs: 40,
  hubReadMs: 20,
  hubRoundSlowMs: 60,
  hubDeathMs: HUB_DEATH_MS,
  hubRows: 3,
  orphansPerRead: 2,
  orphanPassMs: 10,
  headPollLiveMs: 200,
  gapWaitMs: 5,
  gapBytes: 4_000,
  snapshotTtlMs: 500,
  removedPerEntry: 2,
  removedTasksPerEntry: 3,
  purgeIdleMs: 150,
  checkpointChanges: 3,
};

const LIMITS = { snapshot_page: 2, replay_changes: 20 };

/** Short, so that agents fall silent for longer. */
export const LEASE = { ttlMs: 100, graceMs: 60 };

/** Changes of a project that its log keeps, and the age below which nothing goes: more than a hub trusts a head. */
const KEPT_CHANGES = 6;
const YOUNGEST_MS = 500;

const DAY_MS = 24 * 60 * 60_000;

interface Shared {
  readonly time: VirtualTime;
  readonly changeLog: MemoryChangeLog;
  readonly projections: MemoryProjections;
  readonly base: MemoryBase;
  readonly beats: MemoryBeats;
  readonly purges: MemoryPurges;
  /** Whether anything new may be begun: not when all is to come to rest. */
  readonly begins: () => boolean;
  /** How long sessions stay after their end; 0: for ever. */
  readonly sessionsKeptMs: number;
  readonly lag: MajorityLag;
  /** What majority reads of documents see, when that is not all of them. */
  readonly durable: () => MemoryProjections | undefined;
  readonly fanOut: FanOut;
  readonly log: Logger;
  readonly rows: MemoryHubs;
  /** A hub's row has risen. */
  readonly raised: (hubId: string) => void;
}

/** A hub process that may crash, behind a wire that may fail. */
export class SimHub {
  readonly hubId: string;
  readonly died: Promise<void>;
  readonly core: Core;
  readonly purges: Purges;
  readonly beats: Beats;
  readonly #others: OtherHubs;
  readonly #retention: Retention;
  /** Sessions that are open on a connection here, and on which. */
  readonly #open = new Map<string, object>();
  readonly #wire: Wire;
  #die = () => {};

  constructor(hubId: string, wire: Wire, { time, log, ...shared }: Shared) {
    this.hubId = hubId;
    this.died = new Promise((resolve) => {
      this.#die = resolve;
    });
    this.#wire = wire;
    const ports = {
      changeLog: new FaultyChangeLog(shared.changeLog, wire, shared.lag),
      projections: new FaultyProjections(shared.projections, wire, shared.durable),
      base: new FaultyBase(shared.base, wire),
    };
    this.core = new Core({
      hubId,
      time,
      ...ports,
      bounds: BOUNDS,
      limits: LIMITS,
      fanOut: shared.fanOut,
      log,
      leaseTerms: () => LEASE,
      isOpen: (projectId, sessionId) => this.#open.has(sessionKey(projectId, sessionId)),
    });
    const bounds = { ...ALL_BOUNDS, ...BOUNDS, trimYoungestMs: YOUNGEST_MS } as unknown as typeof ALL_BOUNDS;
    this.beats = faultyBeats(shared.beats, wire);
    this.purges = new Purges({
      ...{ hubId, ...ports, clock: time, log, bounds, primaryChanges: this.core.repair.primaryChanges },
      beats: this.beats,
      store: faultyPurges(shared.purges, wire),
      onRemoval: (entry) => {
        this.core.fanOut.publish(entry);
        this.core.arrivals.onEntry(entry, approximateBytes(entry));
      },
    });
    // All hubs trim all projects and go on with all purges, so that they meet.
    this.#retention = new Retention({
      ...{ ...ports, clock: time, log, bounds },
      purges: {
        resume: (isMine) => this.purges.resume(isMine),
        forgetEnded: async (projectId, endedBefore) =>
          shared.begins() ? await this.purges.forgetEnded(projectId, endedBefore) : 0,
      },
      logDays: 0,
      logChanges: KEPT_CHANGES,
      sessionDays: shared.sessionsKeptMs / DAY_MS,
      isMine: () => true,
    });
    this.#others = new OtherHubs({
      ...{ hubId, clock: time, log, bounds: { ...ALL_BOUNDS, ...BOUNDS } as typeof ALL_BOUNDS, ...LEASE },
      hubs: faultyHubs(shared.rows, wire, shared.raised),
      heldSessions: faultyHeldSessions(new MemoryHeldSessions(shared.projections), wire),
      writer: this.core.writer,
      active: this.core.active,
      onDeath: (isMine) => this.core.onHubDeath(isMine),
    });
  }

  get isDead(): boolean {
    return this.#wire.isCut;
  }

  /** What a hub does before it takes requests; tries until the database answers. */
  async start(): Promise<void> {
    for (;;) {
      try {
        await repairAll(this.core.repair);
        await this.#others.start();
        return;
      } catch {
        await this.#wire.sleepUpTo(10);
      }
    }
  }

  submit(projectId: string, command: Command): Promise<Outcome<Answer>> {
    return this.core.submit(projectId, command);
  }

  /** The session is open on this connection now. */
  hold(connection: object, session: Session): void {
    const project = this.core.projects.known(session.project_id);
    const current = project?.peek(session.session_id)?.session?.entity ?? session;
    if (project === undefined || this.core.leases.hold(project, current) === undefined) return;
    this.#open.set(sessionKey(session.project_id, session.session_id), connection);
  }

  /** The connection is gone. */
  release(connection: object): void {
    for (const [key, holder] of this.#open) if (holder === connection) this.#open.delete(key);
  }

  /** As SIGKILL: nothing is answered any more. */
  crash(): void {
    this.#wire.isCut = true;
    this.#die();
    this.core.stop();
    void this.#retention.stop();
    void this.purges.stop();
  }
}

function faultyHubs(rows: MemoryHubs, wire: Wire, raised: (hubId: string) => void): Hubs {
  const raise = async (hubId: string) => {
    raised(hubId);
    return rows.raise(hubId);
  };
  return {
    raise: (hubId) => wire.read(() => raise(hubId)),
    read: (limit) => wire.read(() => rows.read(limit)),
    remove: (hubId, beat) => wire.read(() => rows.remove(hubId, beat)),
  };
}

function faultyPurges(purges: MemoryPurges, wire: Wire): PurgeStore {
  return {
    put: (record) => wire.write(() => purges.put(record)),
    find: (id) => wire.read(() => purges.find(id)),
    readOpen: (movedBefore, limit) => wire.read(() => purges.readOpen(movedBefore, limit)),
    drop: (id) => wire.write(() => purges.drop(id)),
    forgetFinished: (before) => wire.write(() => purges.forgetFinished(before)),
  };
}

function faultyBeats(beats: MemoryBeats, wire: Wire): Beats {
  return {
    write: (hubId, rows) => wire.write(() => beats.write(hubId, rows)),
    read: (keys) => wire.read(() => beats.read(keys)),
    remove: (keys) => wire.write(() => beats.remove(keys)),
    findStill: (since, limit) => wire.read(() => beats.findStill(since, limit)),
  };
}

function faultyHeldSessions(held: HeldSessions, wire: Wire): HeldSessions {
  return {
    findOtherHub: (hubIds) => wire.read(() => held.findOtherHub(hubIds)),
    readOf: (hubId, after, limit) => wire.read(() => held.readOf(hubId, after, limit)),
    idsOf: (projectId, limit) => wire.read(() => held.idsOf(projectId, limit)),
  };
}
