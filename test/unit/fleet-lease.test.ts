import { describe, expect, test } from "vitest";
import { BOUNDS } from "../../server/bounds.ts";
import { stepsFor, stretched } from "../../server/domain/fleet-lease.ts";
import { ActiveTime } from "../../server/liveness/active-time.ts";
import { FleetLease } from "../../server/liveness/fleet-lease.ts";
import type { Lease } from "../../shared/messages/lease.ts";
import { QUIET } from "../support/entries.ts";
import { VirtualTime } from "../support/virtual-time.ts";

const BASE: Lease = { interval_ms: 5_000, ttl_ms: 15_000 };
const MOST_BEATS = 2_000;

describe("[B13] how far the lease is stretched", () => {
  test("not at all, up to the fleet whose heartbeats at the configured interval are as many as allowed", () => {
    expect([0, 1, 5_000, 10_000].map((agents) => stepsFor(agents, BASE, MOST_BEATS, 0))).toEqual([0, 0, 0, 0]);
    expect(stepsFor(10_001, BASE, MOST_BEATS, 0)).toBe(1);
  });

  test("so far that the rate stays bounded, and no step further", () => {
    for (let agents = 10_000; agents < 2_000_000; agents = Math.ceil(agents * 1.07)) {
      const steps = stepsFor(agents, BASE, MOST_BEATS, 0);
      expect((agents * 1_000) / stretched(BASE, steps).interval_ms).toBeLessThanOrEqual(MOST_BEATS * 1.000_1);
      if (steps > 0) {
        expect((agents * 1_000) / stretched(BASE, steps - 1).interval_ms).toBeGreaterThan(MOST_BEATS * 0.999_9);
      }
    }
  });

  test("interval and ttl keep their proportion", () => {
    expect(stretched(BASE, 0)).toEqual(BASE);
    expect(stretched(BASE, 3)).toEqual({ interval_ms: 9_766, ttl_ms: 29_297 });
  });

  test("a fleet that wavers around a step changes nothing", () => {
    expect(stepsFor(10_001, BASE, MOST_BEATS, 0)).toBe(1);
    expect(stepsFor(9_999, BASE, MOST_BEATS, 1)).toBe(1);
    expect(stepsFor(9_000, BASE, MOST_BEATS, 1)).toBe(0);
    expect(stepsFor(0, BASE, MOST_BEATS, 20)).toBe(0);
  });
});

describe("[B13] [N1] the lease of a fleet", () => {
  function play(
    work: (fleet: { agents: number }, lease: FleetLease, told: Lease[], time: VirtualTime) => Promise<void>,
  ) {
    const time = new VirtualTime();
    return time.run(Math.random, 600_000, async () => {
      const active = new ActiveTime({ clock: time, bounds: BOUNDS });
      const fleet = { agents: 0 };
      const told: Lease[] = [];
      const lease = new FleetLease({
        base: BASE,
        maxBeatsPerSecond: 10,
        agents: () => fleet.agents,
        tell: (message) => void told.push(message),
        active,
        log: QUIET,
        bounds: BOUNDS,
      });
      try {
        await work(fleet, lease, told, time);
      } finally {
        lease.stop();
        active.stop();
      }
    });
  }

  test("is told when it changes, not at each connect", () =>
    play(async (fleet, lease, told, time) => {
      for (fleet.agents = 0; fleet.agents < 100; fleet.agents++) await time.sleep(1_000);
      // 100 agents / 10 a second = 10 s, by steps of a quarter.
      expect(told.map(({ interval_ms }) => interval_ms)).toEqual([6_250, 7_813, 9_766, 12_207]);
      expect(lease.current).toEqual(told.at(-1));
      expect(lease.ttlMs).toBe(lease.current.ttl_ms);
    }));

  test("a longer ttl counts at once, a shorter one when agents have heard of it", () =>
    play(async (fleet, lease, told, time) => {
      fleet.agents = 100;
      await time.sleep(BOUNDS.fleetCheckMs + 1);
      expect(lease.ttlMs).toBe(36_621);
      fleet.agents = 1;
      await time.sleep(BOUNDS.fleetCheckMs + 1);
      expect(told).toEqual([{ interval_ms: 12_207, ttl_ms: 36_621 }, BASE]);
      expect(lease.current).toEqual(BASE);
      await time.sleep(BOUNDS.leaseTellMs + 36_621 - 10);
      expect(lease.ttlMs).toBe(36_621);
      await time.sleep(20);
      expect(lease.ttlMs).toBe(BASE.ttl_ms);
    }));
});
