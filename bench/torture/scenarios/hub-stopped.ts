import { setTimeout as sleep } from "node:timers/promises";
import { percentiles } from "../../support/statistics.ts";
import { atMost, happened } from "../judging.ts";
import { highest, lagMs, remoteLags, within } from "../lag.ts";
import type { Scenario } from "../scenario.ts";

/** Longer than other hubs take to call it dead, shorter than the grace of its sessions. */
const STOPPED_MS = { from: 1_000, to: 8_000 };
const RUNNING_MS = { from: 3_000, to: 5_000 };

export const hubStopped: Scenario = {
  name: "hub-stopped",
  question:
    "One of three hubs is stopped for seconds under load (SIGSTOP) and goes on: do the others notice anything, and when are its own viewers whole?",
  defaults: { seconds: 60 },
  fleet: { hubs: 3, redis: "direct" },
  moves: false,
  trouble: async ({ settings, fleet, random }) => {
    const stops: { readonly hub: number; readonly fromMs: number; readonly toMs: number }[] = [];
    const endsAt = performance.now() + settings.seconds * 1_000;
    while (performance.now() < endsAt) {
      const hub = random.integer(0, fleet.doors.length - 1);
      const fromMs = performance.now();
      fleet.freezeHub(hub);
      await sleep(random.between(STOPPED_MS.from, STOPPED_MS.to));
      const toMs = performance.now();
      fleet.thawHub(hub);
      stops.push({ hub, fromMs, toMs });
      await sleep(random.between(RUNNING_MS.from, RUNNING_MS.to));
    }
    return (history) => {
      const lags = remoteLags(history);
      const during = stops.map((stop) => ({ ...stop, lags: lags.filter(({ ackedMs }) => within(stop, ackedMs)) }));
      const others = during.flatMap(({ hub, lags: all }) => all.filter((lag) => lag.hub !== hub).map(lagMs));
      const own = during.flatMap(({ hub, toMs, lags: all }) =>
        all.filter((lag) => lag.hub === hub).map(({ seenMs }) => seenMs - toMs),
      );
      return {
        rows: [
          ["stops", stops.length],
          ["changes that came to stopped viewers late", own.length],
        ],
        verdicts: [
          happened("changes while a hub stood still", others.length),
          atMost("ack to viewers of the other hubs, p99", percentiles(others).p99, 500, "ms"),
          atMost("its own viewers whole after it goes on, at most", highest(own), 2_000, "ms"),
        ],
      };
    };
  },
};
