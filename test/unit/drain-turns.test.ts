import { describe, expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import { type Movable, moveAll } from "../../server/drain/move.ts";
import { planTurns } from "../../server/drain/turns.ts";
import { VirtualTime } from "../support/virtual-time.ts";

const PLENTY_MS = 60_000;
const goesAt = ({ toldAt, reconnectAfterMs }: { toldAt: number; reconnectAfterMs: number }) =>
  toldAt + reconnectAfterMs;

describe("the turns of a drain", () => {
  test("[N6] nobody connected: nothing to do", () => {
    expect(planTurns(0, PLENTY_MS, BOUNDS)).toEqual([]);
  });

  test("[N6] a single client goes at once", () => {
    expect(planTurns(1, PLENTY_MS, BOUNDS)).toEqual([
      { toldAt: 0, reconnectAfterMs: 0, closedAt: BOUNDS.drainPatienceMs },
    ]);
  });

  test.each([100, 1_000, 5_000])(
    "[N6] [F18] %i clients go one after the other, at the rate that is asked for",
    (count) => {
      const times = planTurns(count, PLENTY_MS, BOUNDS).map(goesAt);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      const inOneSecond = times.map((from) => times.filter((at) => at >= from && at < from + 1_000).length);
      expect(Math.max(...inOneSecond)).toBeLessThanOrEqual(BOUNDS.drainMovesPerSecond * 1.05);
      expect(times.at(-1)).toBeGreaterThan((count / BOUNDS.drainMovesPerSecond) * 1_000 * 0.95);
    },
  );

  test("[N6] [F18] everybody hears early, in batches", () => {
    const turns = planTurns(5_000, PLENTY_MS, BOUNDS);
    const batches = Map.groupBy(turns, ({ toldAt }) => toldAt);
    for (const batch of batches.values()) expect(batch.length).toBeLessThanOrEqual(BOUNDS.drainToldAtOnce);
    expect(turns.at(-1)?.toldAt).toBeLessThan(500);
  });

  test.each([0, 400, 3_000, 17_000])("[N8] within %i ms all are closed, however many", (budgetMs) => {
    const turns = planTurns(50_000, budgetMs, BOUNDS);
    expect(turns.filter(({ toldAt, reconnectAfterMs }) => toldAt < 0 || reconnectAfterMs < 0)).toEqual([]);
    const last = Math.max(budgetMs, BOUNDS.drainPatienceMs) + 1;
    expect(turns.filter(({ closedAt }) => closedAt > last)).toEqual([]);
  });

  test("[N6] a client that stretches its pause by a quarter is not closed before it goes", () => {
    const turns = planTurns(10_000, PLENTY_MS, BOUNDS);
    expect(turns.filter((turn) => turn.closedAt < turn.toldAt + turn.reconnectAfterMs * 1.25)).toEqual([]);
  });
});

/** A client that goes when it was asked to, or does not know that word; it notes when it heard and left. */
class FakeClient implements Movable {
  isGone = false;
  askedAt: number | undefined;
  closedAt: number | undefined;
  readonly #time: VirtualTime;
  readonly #manners: "goes" | "stays" | "never reads";

  constructor(time: VirtualTime, manners: "goes" | "stays" | "never reads") {
    this.#time = time;
    this.#manners = manners;
  }

  askToMove(reconnectAfterMs: number): void {
    this.askedAt = this.#time.monotonic();
    if (this.#manners !== "goes") return;
    void this.#time.sleep(reconnectAfterMs).then(() => {
      this.isGone = true;
    });
  }

  close(): void {
    this.closedAt = this.#time.monotonic();
    if (this.#manners === "never reads") return;
    this.isGone = true;
  }
}

describe("moving clients", () => {
  const move = (manners: readonly ("goes" | "stays" | "never reads")[]) => {
    const time = new VirtualTime();
    return time.run(
      () => 0.5,
      120_000,
      async () => {
        const clients = manners.map((one) => new FakeClient(time, one));
        await moveAll(clients, planTurns(clients.length, PLENTY_MS, BOUNDS), time);
        return { clients, ms: time.monotonic() };
      },
    );
  };

  test("[N6] those who know `drain` go by themselves, and nobody waits longer", async () => {
    const { clients, ms } = await move(Array(1_000).fill("goes"));
    expect(clients.every(({ closedAt }) => closedAt === undefined)).toBe(true);
    expect(ms).toBeLessThan(2_000 + 50);
  });

  test("[H7] [F18] those who do not are closed in their turn", async () => {
    const { clients } = await move(Array(1_000).fill("stays"));
    const times = clients.map(({ closedAt = 0 }) => closedAt);
    expect(times[0]).toBeLessThan(BOUNDS.drainPatienceMs + 50);
    expect(times.at(-1)).toBeGreaterThan(2_000);
    const atOnce = times.map((from) => times.filter((at) => at >= from && at < from + 100).length);
    expect(Math.max(...atOnce)).toBeLessThan(100);
  });

  test("[N8] one that never goes does not hold up the drain", async () => {
    const { ms } = await move(["goes", "never reads", "stays"]);
    expect(ms).toBeLessThan(5_000);
  });
});
