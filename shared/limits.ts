/**
 * Every bound that a client can meet, with its number and unit. `welcome.limits` tells a client the values in force.
 * Bounds inside the hub (queues, caches, batches) are in server/bounds.ts.
 */
export const DEFAULT_LIMITS = {
  /** Bytes of one frame from an agent, and of a REST body. Larger: the connection is closed with 1009, REST answers 413. */
  frame_bytes: 32 * 1024,
  /** Bytes of one frame from a viewer. */
  viewer_frame_bytes: 4 * 1024,
  /** Bytes (UTF-8 JSON) of one entity's metadata after the merge: `PAYLOAD_TOO_LARGE`. */
  metadata_bytes: 16 * 1024,
  /** Levels of objects and arrays in metadata, itself the first: `VALIDATION`. */
  depth: 8,
  /** Keys in any one object: `VALIDATION`. */
  keys_per_object: 64,
  title_chars: 500,
  question_chars: 2_000,
  activity_chars: 200,
  options: 20,
  /** Changes in one publish: `VALIDATION`. */
  changes_per_publish: 100,
  /** Sessions open on one connection: `LIMIT_EXCEEDED`. */
  sessions_per_connection: 200,
  /** Project rooms joined by one connection: `LIMIT_EXCEEDED`. */
  rooms_per_connection: 100,
  /** Tasks of one session: `LIMIT_EXCEEDED`. A hub holds a session with its tasks in memory as one family. */
  tasks_per_session: 10_000,
  /** Entities on one page of a snapshot. */
  snapshot_page: 500,
  /** Changes in a replay; with more missed, the join answers a snapshot with reason `too_far`. */
  replay_changes: 1_000,
  /** Bytes in a replay, likewise. */
  replay_bytes: 1024 * 1024,
  /** Bytes that may wait for one connection to read: beyond, a viewer gets conflated frames, and who stays slow is closed. */
  queue_bytes: 1024 * 1024,
  /** Requests that change something, a second, twice as many at once: `RATE_LIMITED`. 0, here and below: no limit. */
  publishes_per_second: 1_000,
  /** Of all connections with one key. */
  key_publishes_per_second: 20_000,
  /** `project:join` of one connection. */
  joins_per_second: 20,
  /** REST requests with one key. */
  key_requests_per_second: 1_000,
} as const;

export type Limits = { readonly [K in keyof typeof DEFAULT_LIMITS]: number };
