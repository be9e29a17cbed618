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
  /**
   * In a project that several hubs write, each leaves every hub before it so long to append and to be heard of: about
   * what both take on a loaded machine. At most so many hubs are waited for.
   */
  turnMs: 20,
  turnHubs: 16,
  /** Pause before the log is read again for the entry that won a race and cannot be read yet: doubles up to the next one. */
  lostRaceLookMs: 2,
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
  /**
   * How often the counts of projects are written down, and how many at once; of how many projects a hub holds them (a few
   * hundred bytes each); and over how many changes of the log they are moved before looking at every session is cheaper.
   */
  countsSaveMs: 5_000,
  countsPerSave: 500,
  countedProjects: 10_000,
  countedFromLog: 50_000,
  /** Sessions that are looked at in one piece, some 10 ms, when somebody who looks at all of them can wait. */
  recountSlice: 1_000,
  /** Whose work stands still was heard of since; and so many of them are looked at. */
  stillSinceMs: 10 * 60_000,
  stillSessions: 10_000,
  /** Documents in one projection round. */
  projectionBatch: 1_000,
  /** How often `projected_seq` is raised. */
  raiseProjectedMs: 1_000,
  /** Ranges of one project whose documents are written and that wait for another hub's before them. */
  projectedRanges: 200,
  /** A hole in the projection older than this is repaired by whoever sees it. */
  projectionHoleMs: 2_000,
  /** Heads of followed projects are compared with the log this often: without Redis it is how other hubs' changes arrive. */
  headPollMs: 500,
  /** The same while Redis brings them: finds what it lost, the last entry before a silence above all. */
  headPollLiveMs: 5_000,
  /** An entry that came before the one it follows waits so long for it; then the log is read. */
  gapWaitMs: 20,
  /** Bytes of such entries in the whole hub; what is beyond is read from the log with the rest. */
  gapBytes: 8 * 1024 * 1024,
  /** Projects whose heads are compared in one query. */
  headsPerPoll: 100,
  /** `position` after this long without a frame. */
  positionEveryMs: 5_000,
  /** `heartbeats` frames at most this often, per project. */
  heartbeatFrameMs: 1_000,
  /** How often the hub looks whether it is running, and how late it may be before the rest counts as a stall. */
  activeTickMs: 250,
  stallMs: 250,
  /** Sessions that this hub holds leases of: past it an open is `OVERLOADED`. About 60 MB. */
  leases: 200_000,
  /** How often expired leases are looked for: two of these, and a commit, fit into the 2 s that a verdict may take. */
  leaseSweepMs: 250,
  /** Verdicts under way at once, and the size that one counts with in the queues: agents' publishes need room too. */
  verdictsInFlight: 1_000,
  verdictBytes: 200,
  /** Pause after a verdict that MongoDB did not take. */
  verdictRetryMs: 1_000,
  /** A verdict that waited longer to be decided tells that MongoDB was away. */
  verdictLateMs: 2_000,
  /** How often the number of agents is looked at, and the longest time that it takes to tell all of them something. */
  fleetCheckMs: 1_000,
  leaseTellMs: 5_000,
  /** How often sessions that are lost for LOST_EXPIRY are looked for, how many at once, and the pause between. */
  lostExpirySweepMs: 60_000,
  lostExpiryBatch: 200,
  lostExpiryPauseMs: 100,
  /** What was found must be decided within this: a session that is back and lost again needs longer. */
  lostExpiryFreshMs: 10_000,
  /** Coarse write-back of heartbeats. */
  beatWriteBackMs: 5_000,
  /** A hub raises its row in `hubs` this often, and reads those of the others this often. */
  hubRaiseMs: 1_000,
  hubReadMs: 500,
  /** A round of both that took longer says nothing about other hubs: MongoDB was slow for them too. */
  hubRoundSlowMs: 500,
  /** Another hub whose row stood still for so long is dead; what was read longer ago is no knowledge any more. */
  hubDeathMs: 3_000,
  /** Rows read at once: one for each hub that lives, or is dead with sessions that are not judged yet. */
  hubRows: 1_000,
  /** Hubs without a row that are found in one round; each is a query, and there are hardly ever any. */
  goneHubsPerRound: 16,
  /** Sessions of a dead hub that are read by one query, and the rest between two passes over all of them. */
  orphansPerRead: 1_000,
  orphanPassMs: 1_000,
  /**
   * Sessions of a project that are loaded together when the first of them comes back from another hub, projects that are
   * loaded at once, when they are loaded together again, and how long an open waits for it.
   */
  returnsPerProject: 1_000,
  returnsAtOnce: 8,
  returnsAgainMs: 30_000,
  returnsWaitMs: 2_000,
  /** Changes that are read beside those that a viewer missed, for others who missed a little more. */
  replayMarginChanges: 100,
  /** Answers made for one join: begun anew when more was committed meanwhile than is kept. */
  joinAttempts: 10,
  /** A snapshot lives this long for its further pages; so many at once, with so many entities, whichever is less. */
  snapshotTtlMs: 60_000,
  /** After so many joins with one snapshot, further ones get it while it is so old, and frames of so many changes. */
  snapshotReuseJoins: 20,
  snapshotReuseMs: 1_000,
  snapshotReuseChanges: 200,
  snapshotsCached: 100,
  snapshotEntitiesCached: 200_000,
  /** A page of more than one entity is no larger: it is encoded in one go. Entities measured in one turn of the loop. */
  snapshotPageBytes: 512 * 1024,
  snapshotSlice: 500,
  /** Sessions in a snapshot: ended ones count for this long. */
  snapshotEndedWindowMs: 24 * 60 * 60_000,
  /** Bytes of one page of a project's changes; one change may be more. */
  historyPageBytes: 1024 * 1024,
  /** A past state that takes longer to make is given up; those that wait are made one after the other, so many at most. */
  historyAtMs: 10_000,
  pastSnapshotsWaiting: 8,
  /**
   * Of past states one is remembered every so many changes, or as many as it has sessions, with so many entities in the
   * whole hub, some 50 MB: to fold a change takes 8 to 17 µs, to copy a session about one.
   */
  checkpointChanges: 2_500,
  checkpointEntities: 50_000,
  /**
   * Trimming: how often all projects are looked at, changes in one step (some ten milliseconds of CPU), the pause after a
   * project, that after a step in lengths of the step, and the one after a step so slow that MongoDB has other things to do.
   */
  trimSweepMs: 60_000,
  trimChanges: 1_000,
  trimPauseMs: 5,
  trimPauseFactor: 2,
  trimSlowMs: 500,
  trimSlowPauseMs: 10_000,
  /** Nothing younger is trimmed: several times `headConfirmedMs`, so that no hub appends where an entry was. */
  trimYoungestMs: 60 * 60_000,
  /**
   * The doctor: how long one page of it goes on, and one project that is asked for alone; the longest pause, which is as long as
   * the work before it; entries of a log that are looked at from
   * its head back, sessions that are compared with the log and among how many last entries they are found, entries of each
   * that are folded, documents of the base, and how long documents may be behind the log before that is a finding.
   */
  doctorMs: 10_000,
  doctorProjectMs: 20_000,
  doctorPauseMs: 200,
  doctorEntries: 10_000,
  doctorSessions: 20,
  doctorSampleEntries: 500,
  doctorHistoryEntries: 200,
  doctorBaseDocuments: 1_000,
  doctorBehindMs: 10_000,
  /** Sessions that one entry removes, and their tasks, unless one session alone has more: a write of a second or two. */
  removedPerEntry: 200,
  removedTasksPerEntry: 5_000,
  /** Purges under way on one hub; beyond, new ones are refused. One that no hub has moved for so long is taken over. */
  purgesAtOnce: 10,
  purgeIdleMs: 60_000,
  /** What was purged, by whom, is kept so long. */
  purgesKeptMs: 365 * 24 * 60 * 60_000,
  /** Largest message between hubs; an entry beyond it is not sent, others are told to read the log. */
  fanOutMessageBytes: 1024 * 1024,
  /** Bytes of messages to other hubs that Redis has not taken yet; past it they are dropped, and found in the log. */
  fanOutPendingBytes: 4 * 1024 * 1024,
  /** A command that Redis has not answered by then has failed. */
  redisCommandMs: 1_000,
  /** How often a hub sends itself a message through Redis, and after how many without an echo Redis counts as deaf. */
  probeEveryMs: 1_000,
  probesUnanswered: 2,
  /** How long a start waits for Redis before it goes on without. */
  fanOutStartMs: 1_000,
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
  /** A stream of events that ends is opened again after so long and, each by its own chance, up to so much more. */
  eventRetryMs: 1_000,
  eventRetrySpreadMs: 2_000,
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
  /** A stop that takes longer ends as it is, with a word on what was still open; a supervisor's patience is often 30 s. */
  stopAtMostMs: 23_000,
  /** Of it, the drain: what is left after settling and writing back is the time in which clients are moved. */
  drainAtMostMs: 17_000,
  /** Publishes under way are waited for; by then each has had its answer, if only `UNAVAILABLE`. */
  drainSettleMs: 10_000,
  /** The last write-back of heartbeats and marks; what is not written is found in the log, or heard again. */
  drainWriteBackMs: 5_000,
  /** Clients that are asked to come back in one second: what the other hubs take beside their own work. */
  drainMovesPerSecond: 500,
  /** So many are told in one turn of the event loop, and the pause between. */
  drainToldAtOnce: 250,
  drainTellPauseMs: 20,
  /** A client that has not gone so long after its turn is closed. */
  drainPatienceMs: 500,
  /** A REST request under way at the end of a stop may take so long for its answer. */
  httpCloseMs: 2_000,
  /** How often connections are looked at whose key may have ended, and how long before its end they are warned. */
  keyWatchMs: 1_000,
  expiryNoticeMs: 60_000,
  /** How often keys are read from MongoDB, beside the notes through Redis: without Redis it is how a revoke arrives. */
  keysPollMs: 4_000,
  /** Managed keys that are in force at once; who needs more hands out tokens. All are in memory and read each time. */
  managedKeys: 1_000,
  /** Keys that a list shows, and how long after their end it still shows them. */
  listedKeys: 5_000,
  endedKeysMs: 30 * 24 * 60 * 60_000,
  /** How often a hub tells its use of keys, and after how long without a word it counts as gone. */
  keyUseMs: 5_000,
  keyUseStaleMs: 20_000,
  /** How often files with keys or addresses are looked at, and how large they may be. */
  watchedFileMs: 1_000,
  watchedFileBytes: 256 * 1024,
  /** A connection that has not joined a namespace by then is closed. */
  connectTimeoutMs: 5_000,
  /**
   * Connections without an accepted CONNECT, about 30 KB each: those that wait for their upgrade, those that have not sent
   * it, and those that were refused and may read why.
   */
  unconnected: 2_000,
  /**
   * TCP connections that the kernel keeps while the hub is busy (no more than its somaxconn). What is beyond is dropped
   * and repeated by the kernels after 1 s, 2 s, 4 s: with Node's 511 half of 5,000 clients needed more than 10 s.
   */
  listenBacklog: 4_096,
  /** Sockets that listen on the hub's port: so many connections are accepted in one turn of the event loop. */
  listenSockets: 8,
  /** Upgrades to WebSocket in one turn of the event loop: about 3 ms. */
  upgradesPerTurn: 8,
  /** Who has waited longer for its upgrade is refused: clients give up after some seconds. */
  upgradeWaitMs: 2_000,
  /** Of the pace at which new connections are taken, so much may come at once. */
  acceptBurstMs: 250,
  /** How often the event loop's lag is looked at, and from which lag on fewer connections are taken. */
  loopLagEveryMs: 25,
  acceptLagMs: 50,
  /** The shortest and the longest pause that those are asked for who are not taken. */
  acceptPauseLeastMs: 500,
  acceptPauseMostMs: 30_000,
  /** The same for requests beyond a rate. */
  ratePauseLeastMs: 100,
  ratePauseMostMs: 10_000,
  /** Who sends so many times its rate for so long is warned at half of it, and then closed; and when it may come back. */
  floodFactor: 5,
  floodMs: 10_000,
  floodReconnectMs: 10_000,
  /** Keys (subjects of tokens) whose rates are counted at once, about 200 bytes each: beyond, the oldest begins anew. */
  ratedKeys: 10_000,
  /** Addresses with failed keys in the last minute: beyond, the one that failed first is forgotten. */
  failingAddresses: 10_000,
  /** How often hubs tell each other what they counted, and how many counts at most each time. */
  sharedCountsMs: 500,
  sharedCountsPerRound: 500,
  /** A key that uses less than this part of its limit at a hub is not told of: 1 / sharedShare. */
  sharedShare: 32,
} as const;
