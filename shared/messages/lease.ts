import { z } from "zod";

/** How often to send a heartbeat, and after how long without one the session counts as stale. Milliseconds. */
export const Lease = z.object({ interval_ms: z.int().min(1), ttl_ms: z.int().min(1) });
export type Lease = z.infer<typeof Lease>;
