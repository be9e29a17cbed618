/**
 * Every queue, buffer, cache and wait inside the hub, with its number, unit and reason. What a client can meet is in
 * shared/limits.ts instead.
 */
export const BOUNDS = {
  /** Publishes waiting in one project: past it `OVERLOADED`. About 2 s of work at the rate measured for one project. */
  queuedPerProject: 10_000,
  /** Approximate bytes of them. */
  queuedBytesPerProject: 16 * 1024 * 1024,
  /** Publishes waiting in the whole hub, and their bytes. */
  queuedPerHub: 50_000,
  queuedBytesPerHub: 64 * 1024 * 1024,
  /** Changes in one log entry, and their approximate bytes. A frame to a viewer is one entry. */
  entryChanges: 1_000,
  entryBytes: 256 * 1024,
  /** Bytes of one insert of several projects' entries; MongoDB takes 48 MB a message. */
  appendBytes: 8 * 1024 * 1024,
  /** Inserts under way at once, and after how long one counts as slow and another may start beside it. */
  appendsInFlight: 4,
  slowAppendMs: 50,
  /** After an append with so many publishes the next one starts no sooner than this after its start. */
  appendWindowPublishes: 24,
  appendWindowMs: 12,
  /** A publish that is not settled by then is answered `UNAVAILABLE` (or `OVERLOADED` after lost races). */
  commitDeadlineMs: 4_500,
  /** How often deadlines are looked at; deadline + sweep stays below the promised 5 s. */
  commitSweepMs: 250,
  /** Random wait after a lost race, so that two hubs do not meet again in step. */
  lostRaceJitterMs: 8,
  /** Pause before an append with unknown outcome is sent again: doubles from first to last. */
  unknownRetryFirstMs: 50,
  unknownRetryLastMs: 1_000,
  /** Every so many versions an entity logs its whole state, so that reading it at a point in time stays short. */
  stateEveryVersions: 64,
  /** Entries kept in memory per project, by changes and bytes, to bridge a snapshot to the live frames. */
  recentChanges: 2_000,
  recentBytes: 1024 * 1024,
  /** Sessions (each with its tasks) cached per hub; the least recently used goes first. */
  cachedFamilies: 50_000,
  /** Families loaded by one query. */
  familiesPerLoad: 200,
  /** Log entries read by one query of catchUp. */
  entriesPerRead: 200,
  /** A project that nobody uses is forgotten after this, so its head is read anew. */
  idleProjectMs: 5 * 60_000,
  /** A writer whose head was confirmed longer ago reads it again before it appends (retention may have trimmed). */
  headConfirmedMs: 10 * 60_000,
  /** Documents in one projection round. */
  projectionBatch: 1_000,
  /** How often `projected_seq` is raised. */
  raiseProjectedMs: 1_000,
  /** Ranges of one project whose documents are written and that wait for another hub's before them. */
  projectedRanges: 200,
  /** A hole in the projection older than this is repaired by whoever sees it. */
  projectionHoleMs: 2_000,
  /** Heads of followed projects are compared with the log this often: without Redis it is how other hubs' changes arrive. */
  headPollMs: 1_000,
  /** Projects whose heads are compared in one query. */
  headsPerPoll: 100,
  /** `position` after this long without a frame. */
  positionEveryMs: 5_000,
  /** `heartbeats` frames at most this often, per project. */
  heartbeatFrameMs: 1_000,
  /** Coarse write-back of heartbeats. */
  beatWriteBackMs: 5_000,
  /** Answers made for one join: begun anew when more was committed meanwhile than is kept. */
  joinAttempts: 10,
  /** A snapshot lives this long for its further pages; so many at once, with so many entities, whichever is less. */
  snapshotTtlMs: 60_000,
  snapshotsCached: 100,
  snapshotEntitiesCached: 200_000,
  /** A page of more than one entity is no larger: it is encoded in one go. Entities measured in one turn of the loop. */
  snapshotPageBytes: 512 * 1024,
  snapshotSlice: 500,
  /** Sessions in a snapshot: ended ones count for this long. */
  snapshotEndedWindowMs: 24 * 60 * 60_000,
  /**
   * What may wait for one connection beside the budget that clients know (`queue_bytes`): all that one turn of the event
   * loop writes to a client that does read, and all that may ever wait, answers included, before it is closed.
   */
  queueBurstBytes: 4 * 1024 * 1024,
  queueBytesAtMost: 12 * 1024 * 1024,
  /** A client whose queue was over its budget, and that has not read everything by then, is closed. */
  slowConsumerMs: 30_000,
  /** Pause that is asked of it before it comes back. */
  slowReconnectMs: 5_000,
  /** How often slow clients are looked at, and how long one look may make conflated frames. */
  slowPassMs: 50,
  conflateSliceMs: 10,
  /** Entities and bytes of one conflated frame; a viewer that missed more joins anew, and fetches pages at its own pace. */
  conflatedEntities: 1_000,
  conflatedBytes: 1024 * 1024,
  /**
   * Requests of one viewer that are handled at once (their largest answers together stay below `queueBytesAtMost`), and
   * that wait for their turn; then `OVERLOADED`.
   */
  viewerRequestsAtOnce: 4,
  viewerRequestsWaiting: 200,
  /** A connection that has not joined a namespace by then is closed. */
  connectTimeoutMs: 5_000,
} as const;
