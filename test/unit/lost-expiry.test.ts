import { expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import type { VerdictCommand } from "../../server/domain/commands.ts";
import { LostExpiry } from "../../server/liveness/lost-expiry.ts";
import { MemoryChangeLog } from "../../server/memory/change-log.ts";
import { MemoryLostSessions } from "../../server/memory/lost-sessions.ts";
import { MemoryProjections } from "../../server/memory/projections.ts";
import type { LostSessions } from "../../server/ports.ts";
import { Core } from "../support/core.ts";
import { openOf, QUIET } from "../support/entries.ts";
import { VirtualTime } from "../support/virtual-time.ts";

const EXPIRY_MS = 7 * 24 * 60 * 60_000;
const SWEEP_MS = BOUNDS.lostExpirySweepMs;

function verdictOf(sessionId: string, from: "online" | "lost", to: "lost" | "online"): VerdictCommand {
  return {
    type: "verdict",
    session_id: sessionId,
    to,
    condition: { hub_id: "h1", incarnation: 1, liveness: from },
    holds: () => true,
    actor: { kind: "hub", id: "h1" },
  };
}

class Play {
  readonly time = new VirtualTime();
  readonly log = new MemoryChangeLog();
  readonly documents = new MemoryProjections();
  readonly #stops: (() => unknown)[] = [];

  hub(hubId: string, lostSessions: LostSessions = new MemoryLostSessions(this.documents), bounds: object = {}): Core {
    const core = new Core({ hubId, time: this.time, changeLog: this.log, projections: this.documents, bounds });
    const expiry = new LostExpiry({
      hubId,
      expiryMs: EXPIRY_MS,
      lostSessions,
      writer: core.writer,
      clock: this.time,
      log: QUIET,
      bounds: { ...BOUNDS, ...bounds },
    });
    this.#stops.push(
      () => expiry.stop(),
      () => core.stop(),
    );
    return core;
  }

  async lose(core: Core, sessionId: string): Promise<void> {
    await core.answer("p", openOf(sessionId));
    await core.answer("p", verdictOf(sessionId, "online", "lost"));
  }

  /** Days in virtual time run one timer after the other, which takes too long: they are skipped. */
  skip(ms: number): void {
    this.time.block(ms);
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops) await stop();
  }

  ended(): { readonly id: string; readonly by: string }[] {
    return this.log
      .entries("p")
      .flatMap(({ changes }) => changes.filter(({ type }) => type === "ended"))
      .map(({ id, actor }) => ({ id, by: `${actor.kind} ${actor.id}` }));
  }
}

const play = (work: (play: Play) => Promise<void>) => () => {
  const one = new Play();
  return one.time.run(
    () => 0.5,
    10 * EXPIRY_MS,
    async () => {
      await work(one);
      await one.stop();
    },
  );
};

test(
  "[B12] a session that stays lost is ended as failed by the hub, after the expiry and not before",
  play(async (play) => {
    const core = play.hub("h1");
    await play.lose(core, "s");
    play.skip(EXPIRY_MS - 3 * SWEEP_MS);
    await play.time.sleep(2 * SWEEP_MS);
    expect(play.ended()).toEqual([]);
    await play.time.sleep(3 * SWEEP_MS);
    expect(play.ended()).toEqual([{ id: "s", by: "hub h1" }]);
    expect(play.documents.save().sessions.get("p/s")?.entity).toMatchObject({ status: "FAILED", liveness: "ended" });
  }),
);

test(
  "[B12] of several hubs that find it one ends it, whoever had it",
  play(async (play) => {
    const SESSIONS = 5;
    const [first] = ["h1", "h2", "h3"].map((hubId) => play.hub(hubId, undefined, { lostExpiryBatch: 2 }));
    for (let n = 0; n < SESSIONS; n++) await play.lose(first as Core, `s${n}`);
    play.skip(EXPIRY_MS);
    await play.time.sleep(3 * SWEEP_MS);
    expect(
      play
        .ended()
        .map(({ id }) => id)
        .sort(),
    ).toEqual(Array.from({ length: SESSIONS }, (_, n) => `s${n}`));
  }),
);

test(
  "[B12] one that is back is left alone, also when it was found before",
  play(async (play) => {
    const documents = new MemoryLostSessions(play.documents);
    let core: Core | undefined;
    const returning: LostSessions = {
      findBefore: async (lostAt, limit) => {
        const found = await documents.findBefore(lostAt, limit);
        for (const { sessionId } of found) await core?.answer("p", verdictOf(sessionId, "lost", "online"));
        return found;
      },
    };
    core = play.hub("h1", returning);
    await play.lose(core, "s");
    play.skip(EXPIRY_MS);
    await play.time.sleep(3 * SWEEP_MS);
    expect(play.ended()).toEqual([]);
  }),
);
