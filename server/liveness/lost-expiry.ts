import type { BOUNDS } from "../bounds.ts";
import type { Clock, Logger, LostSession, LostSessions } from "../ports.ts";
import { pause } from "../timing.ts";
import type { Writer } from "../writer/writer.ts";

interface Options {
  readonly hubId: string;
  /** A session that has been lost for longer is given up. */
  readonly expiryMs: number;
  readonly lostSessions: LostSessions;
  readonly writer: Pick<Writer, "submit">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bounds: Pick<
    typeof BOUNDS,
    "lostExpirySweepMs" | "lostExpiryBatch" | "lostExpiryPauseMs" | "lostExpiryFreshMs" | "verdictBytes"
  >;
}

/**
 * Ends sessions that stayed lost. Every hub does it, whoever had them: the commit drops the verdict of all but the
 * first.
 */
export class LostExpiry {
  readonly #options: Options;
  readonly #timer: NodeJS.Timeout;
  #sweeping: Promise<void> | undefined;
  #isStopped = false;

  constructor(options: Options) {
    this.#options = options;
    this.#timer = setInterval(() => {
      this.#sweeping ??= this.#sweep().finally(() => {
        this.#sweeping = undefined;
      });
    }, options.bounds.lostExpirySweepMs);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#timer);
    await this.#sweeping;
  }

  async #sweep(): Promise<void> {
    const { lostSessions, clock, expiryMs, log, bounds } = this.#options;
    try {
      while (!this.#isStopped) {
        const before = new Date(clock.now() - expiryMs).toISOString();
        const found = await lostSessions.findBefore(before, bounds.lostExpiryBatch);
        const foundAt = clock.monotonic();
        const outcomes = await Promise.all(found.map((session) => this.#expire(session, foundAt)));
        const ended = outcomes.filter(Boolean).length;
        if (ended > 0) log.info({ ended }, "lost sessions given up");
        // Without a full page this was the last; without an end MongoDB takes nothing now. The next sweep goes on.
        if (found.length < bounds.lostExpiryBatch || ended === 0) return;
        await pause(bounds.lostExpiryPauseMs);
      }
    } catch (error) {
      log.debug({ err: error }, "lost sessions not read, will be tried again");
    }
  }

  /** Whether the session is at its end now. */
  async #expire({ projectId, sessionId, hubId, incarnation }: LostSession, foundAt: number): Promise<boolean> {
    const { clock, writer, bounds } = this.#options;
    const outcome = await writer.submit(
      projectId,
      {
        type: "verdict",
        session_id: sessionId,
        to: "expired",
        condition: { hub_id: hubId, incarnation, liveness: "lost" },
        // It may have come back and be lost anew, which takes longer than this.
        holds: () => !this.#isStopped && clock.monotonic() - foundAt < bounds.lostExpiryFreshMs,
        actor: { kind: "hub", id: this.#options.hubId },
      },
      bounds.verdictBytes,
    );
    return outcome.ok && outcome.value.session.entity.liveness === "ended";
  }
}
