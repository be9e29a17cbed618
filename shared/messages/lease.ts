/** How often to send a heartbeat, and after how long without one the session counts as stale. Milliseconds. */
export interface Lease {
  readonly interval_ms: number;
  readonly ttl_ms: number;
}
