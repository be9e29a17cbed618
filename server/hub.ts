import { randomBytes } from "node:crypto";
import { DEFAULT_LIMITS, type Limits } from "../shared/limits.ts";
import { BOUNDS } from "./bounds.ts";
import { SystemClock } from "./clock.ts";
import type { Config } from "./config.ts";
import { ProjectCounts } from "./counting/project-counts.ts";
import { HttpCounts } from "./counts/http.ts";
import { Origins } from "./domain/origins.ts";
import { SessionTokens } from "./domain/session-token.ts";
import { Drain } from "./drain/drain.ts";
import { Arrivals } from "./following/arrivals.ts";
import { HeadWatch } from "./following/head-watch.ts";
import { Replays } from "./following/replays.ts";
import { Snapshots } from "./following/snapshots.ts";
import { Purges } from "./forgetting/purges.ts";
import { History } from "./history/history.ts";
import { createHttpApp } from "./http/app.ts";
import { closeHttpServer, createHttpServer } from "./http/http-server.ts";
import { listen } from "./http/listen.ts";
import { endWithin, type OnStop, OpenParts } from "./lifecycle.ts";
import { ActiveTime } from "./liveness/active-time.ts";
import { Owners } from "./liveness/owners.ts";
import { ReturningSessions } from "./liveness/returning-sessions.ts";
import { LOCAL_FAN_OUT } from "./local-fan-out.ts";
import { databaseTrouble } from "./mongo/database-trouble.ts";
import { explainMongoError, isMongoError } from "./mongo/explain-error.ts";
import type { MongoHealth } from "./mongo/health.ts";
import { SwitchedStores } from "./mongo/switched-stores.ts";
import type { LevelledLogger } from "./observability/log-level.ts";
import type { ChangeLog, Clock, FanOut, KeyNotes, Logger } from "./ports.ts";
import { Gateway } from "./realtime/gateway.ts";
import { followProject } from "./realtime/handlers/follow-project.ts";
import { leaveAll } from "./realtime/handlers/join-project.ts";
import { Rooms } from "./realtime/rooms.ts";
import { createRoutes } from "./realtime/routes.ts";
import type { RedisFanOut } from "./redis/redis-fan-out.ts";
import { parseRedisUrl } from "./redis/redis-url.ts";
import { Retention } from "./retention/retention.ts";
import { readMongodbUri } from "./secret-files.ts";
import { VERSION } from "./version.ts";
import { WatchedFile } from "./watched-file.ts";
import { wireAdmin } from "./wire-admin.ts";
import { wireKeys } from "./wire-keys.ts";
import { rateSettings, wireLimits } from "./wire-limits.ts";
import { wireLiveness } from "./wire-liveness.ts";
import { wireMetrics } from "./wire-metrics.ts";
import { approximateBytes } from "./writer/project.ts";
import { ProjectedMarks } from "./writer/projected-marks.ts";
import { ProjectionWatch } from "./writer/projection-watch.ts";
import { Projector } from "./writer/projector.ts";
import { Projects } from "./writer/projects.ts";
import { repairAll } from "./writer/repair.ts";
import { Writer } from "./writer/writer.ts";

export interface HubOptions {
  readonly config: Config;
  readonly mongodbUri: string;
  /** API keys in force, the first-run key included. */
  readonly keys: readonly string[];
  readonly log: LevelledLogger;
  /** What the process tells in `/metrics` beside the hub. */
  readonly processMetrics?: () => Promise<string>;
  /** An operator asked the hub to end: whoever runs it stops it. */
  readonly onEnd: () => void;
  readonly overrides?: Overrides;
}

/** Parts that a test or bench replaces. */
export interface Overrides {
  readonly limits?: Partial<Limits>;
  readonly bounds?: Partial<{ readonly [K in keyof typeof BOUNDS]: number }>;
  /** Puts faults between the writer and the real log. */
  readonly changeLog?: (real: ChangeLog) => ChangeLog;
  /** Puts another clock before the real one. */
  readonly clock?: (real: Clock) => Clock;
}

export interface Hub {
  readonly hubId: string;
  readonly port: number;
  /** Drains, then closes everything; the same end for every caller. Rejects with `StopTimeout`. */
  stop(): Promise<void>;
}

/** Clocks drift by milliseconds a minute at most. */
const CLOCK_CORRECTION_MS = 60_000;

/** A client may take so long to read an answer, or to ask again, before its connection is idle. */
const IDLE_BEYOND_MS = 30_000;

/**
 * The hub, wired in the order in which a change passes: stores → projects → writer → following → edges. What was
 * opened is closed in reverse, also when a later part fails to open.
 *
 * @throws StartupError
 */
export async function startHub(options: HubOptions): Promise<Hub> {
  const parts = new OpenParts();
  try {
    const { hubId, port, bounds } = await open(options, parts.add);
    let stopping: Promise<void> | undefined;
    return {
      hubId,
      port,
      stop: () => {
        stopping ??= endWithin(bounds.stopAtMostMs, parts.closeAll(), () => parts.names);
        return stopping;
      },
    };
  } catch (error) {
    await parts.closeAll();
    throw isMongoError(error) ? explainMongoError(error, options.mongodbUri) : error;
  }
}

async function open(options: HubOptions, onStop: OnStop) {
  const { config, log, overrides } = options;
  const limits: Limits = { ...DEFAULT_LIMITS, ...rateSettings(config), ...overrides?.limits };
  const bounds = { ...BOUNDS, ...overrides?.bounds } as typeof BOUNDS;
  const hubId = `${config.HUB_ID}.${randomBytes(4).toString("hex")}`;
  const origins = new Origins(config.CORS_ALLOW_ORIGINS, config.isOpen);
  const systemClock = new SystemClock();
  const clock = overrides?.clock?.(systemClock) ?? systemClock;
  const startedAt = clock.monotonic();
  const uptimeS = () => Math.floor((clock.monotonic() - startedAt) / 1_000);
  const active = new ActiveTime({ clock, bounds });
  onStop("active time", () => active.stop());

  let onPrimaryChange = () => {};
  let changes = 0;
  const primaryChanges = () => changes;
  const stores = await SwitchedStores.open(config, options.mongodbUri, log, () => {
    changes += 1;
    onPrimaryChange();
  });
  onStop("MongoDB", () => stores.close());
  if (config.MONGODB_URI_FILE !== undefined) {
    const file = { setting: "MONGODB_URI_FILE", path: config.MONGODB_URI_FILE, text: options.mongodbUri, log, bounds };
    const watched = new WatchedFile({ ...file, onChange: (text) => stores.switchTo(readMongodbUri(text)) });
    onStop("MONGODB_URI_FILE", () => watched.stop());
  }
  const { ports } = stores;
  onStop("database clock", await followDatabaseClock(systemClock, ports.health, log));
  const { projections, base, health, queries } = ports;
  const changeLog = overrides?.changeLog?.(ports.changeLog) ?? ports.changeLog;
  const repaired = await repairAll({ changeLog, projections, base, primaryChanges, log, bounds });
  if (repaired.changes > 0) log.info(repaired, "documents repaired from the log");

  const projects = new Projects({ changeLog, projections, clock, log, bounds });
  const marks = new ProjectedMarks({ projections, log, bounds });
  onStop("marks", () => marks.stop());
  const projector = new Projector({ projections, log, bounds });
  onStop("projector", () => projector.stop());
  const writer = new Writer({ hubId, limits, bounds, changeLog, projections, projects, projector, marks, clock, log });
  onStop("writer", () => writer.stop());
  const projectionWatch = new ProjectionWatch({
    projects,
    projector,
    marks,
    changeLog,
    projections,
    base,
    clock,
    log,
    primaryChanges,
    bounds,
  });
  onPrimaryChange = () => projectionWatch.onPrimaryChange();
  onStop("projection watch", () => projectionWatch.stop());

  const projectCounts = new ProjectCounts({ store: ports.counts, changeLog, projections, projects, log, bounds });
  projects.onEntry((project, entry) => projectCounts.onEntry(project, entry));
  onStop("counts of projects", () => projectCounts.stop());

  const keys = await wireKeys({ config, given: options.keys, store: ports.keys, clock, log, bounds }, onStop);

  const { tokenSecret: secret } = stores;
  const rates = await wireLimits({ config, limits, hubId, secret, clock, log, bounds }, onStop);

  const owners = new Owners(hubId);
  const snapshots = new Snapshots({ changeLog, projections, clock, bounds, pageSize: limits.snapshot_page });
  onStop("snapshots", () => snapshots.stop());
  const gateway = new Gateway({
    hubId,
    keys: keys.ring,
    limits,
    bounds,
    lease: () => liveness.lease(),
    stalledAfterMs: config.STALLED_AFTER_MS,
    clock,
    log,
    origins,
    rates,
    trustedProxies: config.TRUST_PROXY,
    maxConnections: config.MAX_CONNECTIONS,
    maxConnectsPerSecond: config.MAX_CONNECTS_PER_SECOND,
    isDraining: () => drain.isDraining,
    onAgentGone: (agent) => owners.release(agent),
    onViewerGone: (viewer) => leaveAll(rooms, viewer),
  });
  const fanOut = await createFanOut(config, {
    hubId,
    secret,
    namespace: gateway.hubs,
    bounds,
    log,
  });
  const keyAdmin = keys.share({ hubId, fanOut, uses: ports.keyUses, principals: () => gateway.principals() });
  const isLive = () => fanOut.state.mode === "live";
  const headWatch = new HeadWatch({ projects, changeLog, clock, isLive, log, bounds });
  onStop("head watch", () => headWatch.stop());
  const arrivals = new Arrivals({ projects, log, bounds });
  onStop("arrivals", () => arrivals.stop());
  onStop("fan-out", () => fanOut.stop());
  const rooms = new Rooms({ emitter: gateway.rooms, projects, changeLog, projections, clock, log, bounds });
  onStop("rooms", () => rooms.stop());
  projects.onEntry((project, entry) => owners.onEntry(project, entry));
  const liveness = wireLiveness(
    {
      ...{ hubId, config, stores: ports, writer, projects, owners, clock, active, log, bounds },
      fleet: { agents: () => gateway.agents, tell: (lease) => void gateway.tellLease(lease) },
      showHeartbeats: (projectId, at, sessions) => rooms.onHeartbeats(projectId, at, sessions),
      onHubDeath: (isMine) => projectionWatch.onHubDeath(isMine),
    },
    onStop,
  );
  const { leases, heartbeats } = liveness;
  projects.onEntry((project, entry) => rooms.onEntry(project, entry));
  projects.onAnew((project) => {
    snapshots.forgetBefore(project);
    rooms.onAnew(project);
  });
  projects.onEntry((project, entry) => {
    // Own ones when they are known to be in the log, by an answer or by reading it.
    if (entry.hub_id === hubId) fanOut.publish(entry);
    arrivals.onApplied(project);
  });
  fanOut.onEntry((entry, bytes) => arrivals.onEntry(entry, bytes));
  fanOut.onDoubt(() => headWatch.compareNow());
  fanOut.onState((state) => {
    if (state.mode !== "off") gateway.setMode(state);
  });

  await liveness.start();
  const purges = new Purges({
    ...{ hubId, changeLog, projections, base, clock, log, bounds, primaryChanges },
    beats: ports.beats,
    store: ports.purges,
    onRemoval: (entry) => {
      fanOut.publish(entry);
      arrivals.onEntry(entry, approximateBytes(entry));
    },
  });
  const retention = new Retention({
    ...{ changeLog, projections, base, clock, log, bounds, purges },
    sessionDays: config.SESSION_RETENTION_DAYS,
    logDays: config.LOG_RETENTION_DAYS,
    logChanges: config.LOG_RETENTION_CHANGES,
    isMine: (projectId) => liveness.isMine(projectId),
  });
  onStop("retention", () => retention.stop());
  // Before retention, which may wait for one.
  onStop("purges", () => purges.stop());

  const drain = new Drain({
    ...{ hubId, clock, log, bounds, liveness, onEnd: options.onEnd },
    underWay: () => Math.max(writer.openJobs, gateway.unanswered),
    connections: () => gateway.connections,
    writeBack: () => Promise.all([heartbeats.writeBack(), marks.raise(), projectCounts.save()]),
  });
  const history = new History({ changeLog, projections, base, queries, snapshots, clock, bounds });
  const following = { projects, snapshots, replays: new Replays({ changeLog, bounds }), limits, bounds };
  const isDraining = () => drain.isDraining;
  const { streams } = gateway;
  const counts = new HttpCounts();
  const ping = () => health.ping();
  const sources = { gateway, writer, heartbeats, rooms, rates, keys: keys.ring, fanOut, drain, http: counts, ping };
  const admin = wireAdmin(
    {
      ...{ ...sources, version: VERSION, hubId, leases, uptimeS, log, clock, bounds },
      ...{ hubRecords: ports.hubRecords, keyUses: ports.keyUses, otherHubs: liveness.otherHubs },
      ...{ inspection: ports.inspection, health, changeLog, projections, base, queries, projects, projectCounts },
    },
    onStop,
  );
  const app = createHttpApp({
    counts,
    admin,
    metrics: wireMetrics(sources, options.processMetrics),
    keys: keys.ring,
    keyAdmin,
    rates,
    limits,
    clock,
    log,
    writer,
    projects,
    snapshots,
    history,
    purges,
    projectCounts,
    heartbeats,
    stalledAfterMs: config.STALLED_AFTER_MS,
    bounds,
    queries,
    followProject: (request) =>
      followProject({ following, rooms, isDraining, streams, admit: () => gateway.admit() }, request),
    databaseTrouble,
    health: { version: VERSION, uptimeS, ping, fanOut },
    drain,
    requestTimeoutMs: config.REQUEST_TIMEOUT_MS,
    origins,
    isOpen: config.isOpen,
    trustProxy: config.TRUST_PROXY,
  });
  const http = createHttpServer(app, { idleTimeout: config.REQUEST_TIMEOUT_MS + IDLE_BEYOND_MS });
  onStop("REST", () => closeHttpServer(http, bounds.httpCloseMs));
  gateway.open(
    http,
    createRoutes({
      writer,
      projects,
      projections,
      changeLog,
      owners,
      leases,
      heartbeats,
      tokens: new SessionTokens(secret),
      snapshots,
      following,
      returning: new ReturningSessions({ projects, heldSessions: ports.heldSessions, clock, log, bounds }),
      limits,
      keys: keys.ring,
      lease: () => liveness.lease(),
      log,
      isDraining,
      rooms,
    }),
  );
  onStop("connections", () => gateway.close());
  await fanOut.start();
  const { port, close: closeFurther } = await listen(http, { host: config.HOST, port: config.PORT }, bounds);
  onStop("further listening sockets", closeFurther);
  onStop("clients and requests under way", () => drain.begin({ hold: false }));
  return { hubId, port, bounds };
}

/** Redis where there is one. Its client is loaded only then: a hub without it need not carry it. */
async function createFanOut(
  config: Config,
  common: Omit<ConstructorParameters<typeof RedisFanOut>[0], "address" | "prefix">,
): Promise<FanOut & KeyNotes> {
  const address = config.REDIS_URL === undefined ? undefined : parseRedisUrl(config.REDIS_URL);
  if (address === undefined) return LOCAL_FAN_OUT;
  const redis = await import("./redis/redis-fan-out.ts");
  return new redis.RedisFanOut({ ...common, address, prefix: config.REDIS_PREFIX });
}

/** Corrects the clock now and from time to time. Returns what ends it. */
async function followDatabaseClock(clock: SystemClock, health: MongoHealth, log: Logger): Promise<() => void> {
  clock.correct(await health.clockOffset());
  const correct = async () => {
    try {
      clock.correct(await health.clockOffset());
    } catch (error) {
      log.debug({ err: error }, "the database's clock was not read");
    }
  };
  const timer = setInterval(() => void correct(), CLOCK_CORRECTION_MS);
  return () => clearInterval(timer);
}
