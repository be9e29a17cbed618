import { setTimeout as sleep } from "node:timers/promises";
import type { Scenario } from "../scenario.ts";

const KILL_EVERY_MS = 5_000;

/** Short, so that a session that another hub did not take over in time would be lost within the run. */
const LEASE = { HEARTBEAT_INTERVAL_MS: "1000", LEASE_TTL_MS: "3000", LEASE_GRACE_MS: "3000" };

export const killHubs: Scenario = {
  name: "kill-hubs",
  question:
    "One of two hubs is killed (kill -9) every 5 s, in turn, and clients go to the other: is anything lost, doubled or missed?",
  defaults: { seconds: 180 },
  fleet: { hubs: 2, redis: "direct", env: LEASE },
  moves: true,
  trouble: async ({ settings, fleet, crowd }) => {
    const kills = { count: 0, unsettled: 0, beforeReady: 0 };
    let isReady = true;
    const endsAt = performance.now() + settings.seconds * 1_000;
    for (let hub = 0; performance.now() < endsAt; hub = 1 - hub) {
      const killedAt = performance.now();
      kills.count += 1;
      kills.unsettled += crowd.unsettled;
      if (!isReady) kills.beforeReady += 1;
      await fleet.killHub(hub);
      await fleet.restartHub(hub);
      isReady = false;
      const ready = fleet.hubReady(hub).then(
        () => {
          isReady = true;
        },
        () => {},
      );
      await sleep(Math.max(0, killedAt + KILL_EVERY_MS - performance.now()));
      if (performance.now() >= endsAt) await ready;
    }
    await fleet.isLive();
    await sleep(1_000);
    return () => ({
      rows: [
        ["kills", kills.count],
        ["of these before the other hub was ready again", kills.beforeReady],
        ["publishes unanswered at a kill", kills.unsettled],
      ],
      verdicts: [],
    });
  },
};
