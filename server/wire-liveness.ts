import type { HeartbeatInfo } from "../shared/messages/frames.ts";
import type { Lease } from "../shared/messages/lease.ts";
import type { BOUNDS } from "./bounds.ts";
import type { Config } from "./config.ts";
import type { OnStop } from "./lifecycle.ts";
import type { ActiveTime } from "./liveness/active-time.ts";
import { FleetLease } from "./liveness/fleet-lease.ts";
import { Heartbeats } from "./liveness/heartbeats.ts";
import { LeaseSweep } from "./liveness/lease-sweep.ts";
import { Leases } from "./liveness/leases.ts";
import { LostExpiry } from "./liveness/lost-expiry.ts";
import { OtherHubs } from "./liveness/other-hubs.ts";
import type { Owners } from "./liveness/owners.ts";
import type { Beats, Clock, HeldSessions, Hubs, Logger, LostSessions } from "./ports.ts";
import type { Projects } from "./writer/projects.ts";
import type { Writer } from "./writer/writer.ts";

interface Parts {
  readonly hubId: string;
  readonly config: Config;
  readonly stores: {
    readonly beats: Beats;
    readonly hubs: Hubs;
    readonly heldSessions: HeldSessions;
    readonly lostSessions: LostSessions;
  };
  readonly writer: Writer;
  readonly projects: Projects;
  readonly owners: Owners;
  readonly clock: Clock;
  readonly active: ActiveTime;
  readonly log: Logger;
  readonly bounds: typeof BOUNDS;
  /** The agents that are connected here: how many, and a word to all of them. */
  readonly fleet: { readonly agents: () => number; readonly tell: (lease: Lease) => void };
  readonly showHeartbeats: (projectId: string, at: string, sessions: Readonly<Record<string, HeartbeatInfo>>) => void;
  /** Another hub died; says which of its projects fall to this one. */
  readonly onHubDeath: (isMine: (projectId: string) => boolean) => void;
}

interface Liveness {
  readonly leases: Leases;
  readonly heartbeats: Heartbeats;
  /** What this hub knows of the hubs on its database. */
  readonly otherHubs: Pick<OtherHubs, "known" | "stateOf">;
  /** What agents are told now. */
  lease(): Lease;
  /** Whether a project falls to this hub where hubs share work by projects. */
  isMine(projectId: string): boolean;
  /** Shows this hub to the others; before the first session is opened here. Rejects when MongoDB does not answer. */
  start(): Promise<void>;
  /** A hub that stops says nothing more about agents; resolves when no verdict on another hub's is under way. */
  pauseJudging(): Promise<void>;
  /** The others need not wait for this hub any more. */
  leave(): Promise<void>;
  /** The way back from both. Rejects when MongoDB does not answer. */
  rejoin(): Promise<void>;
}

/** Who is alive, wired: this hub's agents by their leases, those of other hubs by the rows of these. */
export function wireLiveness(parts: Parts, onStop: OnStop): Liveness {
  const { hubId, config, stores, writer, projects, owners, clock, active, log, bounds, fleet } = parts;
  const graceMs = config.LEASE_GRACE_MS;
  const fleetLease = new FleetLease({
    base: { interval_ms: config.HEARTBEAT_INTERVAL_MS, ttl_ms: config.LEASE_TTL_MS },
    maxBeatsPerSecond: config.MAX_BEATS_PER_SECOND,
    ...fleet,
    active,
    log,
    bounds,
  });
  onStop("fleet lease", () => fleetLease.stop());
  const leases = new Leases({ hubId, active, bounds });
  const leaseSweep = new LeaseSweep({
    hubId,
    leases,
    writer,
    clock,
    active,
    terms: () => ({ ttlMs: fleetLease.ttlMs, graceMs }),
    isOpen: (projectId, sessionId) => owners.get(projectId, sessionId) !== undefined,
    bounds,
  });
  onStop("lease sweep", () => leaseSweep.stop());
  const lostExpiry = new LostExpiry({
    hubId,
    expiryMs: config.LOST_EXPIRY_MS,
    lostSessions: stores.lostSessions,
    writer,
    clock,
    log,
    bounds,
  });
  onStop("lost expiry", () => lostExpiry.stop());
  const { beats } = stores;
  const heartbeats = new Heartbeats({
    ...{ hubId, leases, beats, clock, log, bounds },
    stalledAfterMs: config.STALLED_AFTER_MS,
    publish: parts.showHeartbeats,
  });
  onStop("heartbeats", () => heartbeats.stop());
  const otherHubs = new OtherHubs({
    hubId,
    hubs: stores.hubs,
    heldSessions: stores.heldSessions,
    writer,
    active,
    clock,
    log,
    bounds,
    ttlMs: config.LEASE_TTL_MS,
    graceMs,
    onDeath: parts.onHubDeath,
  });
  onStop("row of this hub", () => otherHubs.stop());
  projects.onEntry((project, entry) => leases.onEntry(project, entry));
  projects.onEntry((project, entry) => heartbeats.onEntry(project, entry));
  return {
    leases,
    heartbeats,
    otherHubs,
    lease: () => fleetLease.current,
    isMine: (projectId) => otherHubs.isMine(projectId),
    start: () => otherHubs.start(),
    pauseJudging: () => {
      leaseSweep.pause();
      return otherHubs.pauseJudging();
    },
    leave: () => otherHubs.stop(),
    rejoin: async () => {
      await otherHubs.start();
      leaseSweep.resume();
    },
  };
}
