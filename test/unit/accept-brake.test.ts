import { describe, expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import { AcceptBrake } from "../../server/realtime/accept-brake.ts";

/** 100 a second, 25 of them at once. */
function brake(perSecond = 100) {
  const state = { now: 1_000, lagMs: 0, random: 0.5 };
  const made = new AcceptBrake({
    perSecond,
    lagMs: () => state.lagMs,
    clock: { monotonic: () => state.now },
    random: () => state.random,
    bounds: BOUNDS,
  });
  const take = (count: number) => Array.from({ length: count }, () => made.take());
  return { state, take };
}

const taken = (answers: readonly (number | undefined)[]) => answers.filter((answer) => answer === undefined).length;

describe("[H15] [H16] the brake on new connections", () => {
  test("takes what may come at once, then as many as the pace allows", () => {
    const { state, take } = brake();
    expect(taken(take(100))).toBe(25);
    state.now += 100;
    expect(taken(take(100))).toBe(10);
    state.now += 60_000;
    expect(taken(take(100))).toBe(25);
  });

  test("sends those it does not take to places one after the other, at its own pace", () => {
    const { state, take } = brake();
    take(25);
    const pauses = take(200).map(Number);
    expect(pauses).toEqual(Array.from({ length: 200 }, (_, index) => BOUNDS.acceptPauseLeastMs + (index + 1) * 10));
    // Those who come a little later stand behind them.
    state.now += 5;
    expect(take(1).map(Number)[0]).toBe((pauses.at(-1) ?? 0) + 5);
  });

  test("has taken all of a storm when those that were refused kept to their places", () => {
    const { state, take } = brake();
    let due = Array.from({ length: 1_000 }, () => state.now);
    let tries = 0;
    const startedAt = state.now;
    while (due.length > 0) {
      state.now += 1;
      const coming = due.filter((at) => at <= state.now);
      due = due.filter((at) => at > state.now);
      tries += coming.length;
      due.push(...take(coming.length).flatMap((pauseMs) => (pauseMs === undefined ? [] : [state.now + pauseMs])));
    }
    expect(state.now - startedAt).toBeLessThan(11_000);
    expect(tries).toBeLessThan(2_100);
  });

  test("spreads those for whom the line is too long, and lets the line be", () => {
    const { state, take } = brake();
    take(25);
    const places = (BOUNDS.acceptPauseMostMs - BOUNDS.acceptPauseLeastMs) / 10;
    expect(Math.max(...take(places).map(Number))).toBe(BOUNDS.acceptPauseMostMs);
    const beyond = [0, 0.5, 0.999].map((random) => {
      state.random = random;
      return Number(take(1)[0]);
    });
    expect(beyond).toEqual([500, 15_250, 29_971]);
  });

  test("[H17] takes fewer while the event loop is late, but never none", () => {
    const { state, take } = brake();
    take(25);
    const takenInASecond = (lagMs: number) => {
      state.lagMs = lagMs;
      let count = 0;
      for (let step = 0; step < 100; step += 1) {
        state.now += 10;
        count += taken(take(5));
      }
      return count;
    };
    expect(takenInASecond(BOUNDS.acceptLagMs)).toBe(100);
    expect(takenInASecond(2 * BOUNDS.acceptLagMs)).toBeCloseTo(50, -1);
    expect(takenInASecond(60_000)).toBeCloseTo(12, -1);
  });

  test("0 a second: as many as come", () => {
    expect(taken(brake(0).take(10_000))).toBe(10_000);
  });
});
