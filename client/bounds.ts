/** Bounds inside the SDK, each with its unit and what happens there. Bounds that hubs set are in shared/limits.ts. */
export const CLIENT_BOUNDS = {
  /** Publishes of all sessions of an agent without the hub's word: `OUTBOX_FULL`. An option of `connectAgent`. */
  outboxPublishes: 10_000,
  /** Bytes of their JSON, likewise. */
  outboxBytes: 4 * 1024 * 1024,
  /** Sessions of an earlier process for which nothing waits: the spool forgets the oldest beyond these. */
  idleSpooledSessions: 200,
  /** Bytes of a spool file that are never compacted; above it the file is rewritten at four times what it holds. */
  spoolCompactBytes: 256 * 1024,
  /** Bytes of the file with what a hub refused from a spool; beyond it only the `undelivered` event tells. */
  undeliveredFileBytes: 4 * 1024 * 1024,
  /** Milliseconds for an HTTP proxy to connect to a hub; then the attempt has failed. */
  proxyAnswerMs: 10_000,
} as const;
