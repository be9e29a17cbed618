import type { Session } from "../../shared/entities.ts";

export interface LeaseTerms {
  /** An agent that is silent for so long is stale. */
  readonly ttlMs: number;
  /** One that is stale for so long is lost. */
  readonly graceMs: number;
}

/** What a hub knows of an agent that holds a session, milliseconds of its active time. */
export interface Silence {
  /** Since the agent's last sign of life. */
  readonly silentMs: number;
  /** Since the log says what the liveness is. */
  readonly judgedMs: number;
  /** Whether the last sign of life came after the last verdict. */
  readonly isHeardSince: boolean;
}

/**
 * The verdict that is due, or undefined when the liveness is right as it is. One step at a time: nobody is lost without
 * having been stale, and nobody comes back who was not heard of again, however long the terms have become meanwhile.
 *
 * ```
 *            silent for ttl            stale for grace
 *  online ───────────────────▶ stale ──────────────────▶ lost
 *     ▲                          │                        │
 *     └────────── heard ─────────┴───────── heard ────────┘
 * ```
 */
export function dueVerdict(
  liveness: Session["liveness"],
  { silentMs, judgedMs, isHeardSince }: Silence,
  { ttlMs, graceMs }: LeaseTerms,
): "online" | "stale" | "lost" | undefined {
  const isSilent = silentMs >= ttlMs;
  switch (liveness) {
    case "online":
      return isSilent ? "stale" : undefined;
    case "stale":
      if (isSilent) return judgedMs >= graceMs ? "lost" : undefined;
      return isHeardSince ? "online" : undefined;
    case "lost":
      return !isSilent && isHeardSince ? "online" : undefined;
    case "ended":
    case "unmonitored":
      return undefined;
  }
}
