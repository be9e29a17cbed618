import { expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import { ActiveTime } from "../../server/liveness/active-time.ts";
import { VirtualTime } from "../support/virtual-time.ts";

/** Counts at most between two ticks: a stall is known as one only when its tick is late. */
const MOST_PER_TICK_MS = BOUNDS.activeTickMs + BOUNDS.stallMs;

/** Four ticks, and what has passed since the last of them. */
const FOUR_TICKS_MS = BOUNDS.activeTickMs * 4 + 10;
const SEEN_OF_A_STALL_MS = MOST_PER_TICK_MS - 10;

function withActiveTime(work: (time: VirtualTime, active: ActiveTime) => Promise<void>): Promise<void> {
  const time = new VirtualTime();
  return time.run(Math.random, 3_600_000, async () => {
    const active = new ActiveTime({ clock: time, bounds: BOUNDS });
    try {
      await work(time, active);
    } finally {
      active.stop();
    }
  });
}

test("without stalls it is the monotonic time since its start", () =>
  withActiveTime(async (time, active) => {
    expect(active.now()).toBe(0);
    for (const ms of [1, 249, 250, 1_000, 60_000]) {
      const before = active.now();
      await time.sleep(ms);
      expect(active.now() - before).toBe(ms);
    }
  }));

test("a stall stops it, seen at once by whoever asks before the late tick has run", () =>
  withActiveTime(async (time, active) => {
    await time.sleep(FOUR_TICKS_MS);
    const before = active.now();
    time.block(60_000);
    expect(active.now() - before).toBe(SEEN_OF_A_STALL_MS);
    time.block(60_000);
    expect(active.now() - before).toBe(SEEN_OF_A_STALL_MS);
  }));

test("a stall counts once, whether or not somebody asked during it", () =>
  withActiveTime(async (time, active) => {
    for (const asks of [false, true]) {
      await time.sleep(FOUR_TICKS_MS);
      const before = active.now();
      time.block(30_000);
      if (asks) active.now();
      await time.sleep(10_000);
      expect(active.now() - before).toBe(SEEN_OF_A_STALL_MS + 10_000);
    }
  }));

test("of stalls one after the other each is left out", () =>
  withActiveTime(async (time, active) => {
    for (let stall = 1; stall <= 5; stall++) {
      await time.sleep(FOUR_TICKS_MS);
      time.block(5_000);
      expect(active.now()).toBe(stall * (FOUR_TICKS_MS + SEEN_OF_A_STALL_MS));
    }
  }));

test("a tick that is a little late is no stall", () =>
  withActiveTime(async (time, active) => {
    const before = active.now();
    for (let late = 0; late < 20; late++) {
      time.block(MOST_PER_TICK_MS);
      await time.sleep(0);
    }
    expect(active.now() - before).toBe(20 * MOST_PER_TICK_MS);
  }));

test("it never goes back", () =>
  withActiveTime(async (time, active) => {
    let last = active.now();
    for (const [block, sleep] of [
      [100, 10],
      [700, 0],
      [0, 400],
      [5_000, 1],
      [499, 2],
      [501, 300],
    ] as const) {
      time.block(block);
      expect(active.now()).toBeGreaterThanOrEqual(last);
      last = active.now();
      await time.sleep(sleep);
      expect(active.now()).toBeGreaterThanOrEqual(last);
      last = active.now();
    }
  }));
