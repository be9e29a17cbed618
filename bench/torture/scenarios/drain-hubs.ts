import { setTimeout as sleep } from "node:timers/promises";
import { percentiles } from "../../support/statistics.ts";
import type { ViewerRecord } from "../check-history.ts";
import { atMost, happened } from "../judging.ts";
import { highest, type Span } from "../lag.ts";
import type { Scenario } from "../scenario.ts";

const DRAIN_EVERY_MS = 5_000;
/** After the end of a hub its clients still look for the other one. */
const AFTERMATH_MS = 3_000;

/** Short, so that a session that another hub did not take over in time would be lost within the run. */
const LEASE = { HEARTBEAT_INTERVAL_MS: "1000", LEASE_TTL_MS: "3000", LEASE_GRACE_MS: "3000" };

export const drainHubs: Scenario = {
  name: "drain-hubs",
  question:
    "One of two hubs is drained (SIGTERM) every 5 s under load, in turn, and comes again: is anything lost, doubled or missed, and how long do viewers see nothing?",
  defaults: { seconds: 250 },
  fleet: { hubs: 2, redis: "direct", env: LEASE },
  moves: true,
  trouble: async ({ settings, fleet, crowd }) => {
    const drains: Span[] = [];
    let unsettled = 0;
    const count = Math.ceil((settings.seconds * 1_000) / DRAIN_EVERY_MS);
    while (drains.length < count) {
      const hub = drains.length % 2;
      const fromMs = performance.now();
      unsettled += crowd.unsettled;
      await fleet.stopHub(hub);
      drains.push({ fromMs, toMs: performance.now() });
      await fleet.restartHub(hub);
      await fleet.hubReady(hub);
      await fleet.isLive();
      await sleep(Math.max(0, fromMs + DRAIN_EVERY_MS - performance.now()));
    }
    return ({ viewers }) => {
      const tookMs = drains.map(({ fromMs, toMs }) => Math.round(toMs - fromMs));
      const blindMs = drains.flatMap((drain) => viewers.flatMap((viewer) => longestSilence(viewer, drain)));
      const { p50, p99, max } = percentiles(blindMs);
      return {
        rows: [
          ["drains", drains.length],
          ["publishes unanswered when one began", unsettled],
          ["SIGTERM to exit, p50/max ms", `${percentiles(tookMs).p50}/${percentiles(tookMs).max}`],
          ["longest time without a frame of each viewer at each drain, p50/p99/max ms", `${p50}/${p99}/${max}`],
        ],
        verdicts: [
          happened("drains under load", unsettled),
          atMost("SIGTERM to exit", highest(tookMs), 10_000, "ms"),
          atMost("viewers without a frame, p99", p99, 3_000, "ms"),
        ],
      };
    };
  },
};

/** Changes flow all the time, so that a viewer without a frame is a viewer without a hub. */
function longestSilence({ steps }: ViewerRecord, { fromMs, toMs }: Span): number[] {
  const times = steps.flatMap(({ at_ms }) => at_ms ?? []).filter((at) => at > fromMs && at < toMs + AFTERMATH_MS);
  const gaps = times.slice(1).map((at, index) => at - (times[index] ?? at));
  return gaps.length === 0 ? [] : [Math.round(highest(gaps))];
}
