import { setTimeout as sleep } from "node:timers/promises";
import { atMost, happened } from "../judging.ts";
import { firstMode, highest, remoteLags, wholeAfterMs } from "../lag.ts";
import type { Scenario } from "../scenario.ts";

/** From one hub's deafness to the next one's. */
const ROUND_MS = { from: 8_000, to: 12_000 };

export const redisDeaf: Scenario = {
  name: "redis-deaf",
  question:
    "One hub's subscription goes deaf under load, its connection open and silent: when is that noticed, and its viewers whole?",
  defaults: { seconds: 60 },
  fleet: { hubs: 2, redis: "proxied" },
  moves: false,
  trouble: async ({ settings, fleet, random }) => {
    const rounds: { readonly hub: number; readonly atMs: number; readonly deafened: number }[] = [];
    const endsAt = performance.now() + settings.seconds * 1_000;
    while (performance.now() < endsAt) {
      await sleep(random.between(0, 1_000));
      const hub = random.integer(0, fleet.proxies.length - 1);
      const atMs = performance.now();
      rounds.push({ hub, atMs, deafened: fleet.proxies[hub]?.deafen() ?? 0 });
      await sleep(random.between(ROUND_MS.from, ROUND_MS.to));
    }
    return (history) => {
      const lags = remoteLags(history);
      const outcomes = rounds.map(({ hub, atMs }) => {
        const viewers = history.viewers.filter((viewer) => viewer.hub === hub);
        const noticed = viewers.map((viewer) => firstMode(viewer, "degraded", atMs) - atMs);
        return { noticedMs: highest(noticed), wholeMs: wholeAfterMs(lags, viewers, atMs) };
      });
      return {
        rows: [["subscriptions made deaf", rounds.length]],
        verdicts: [
          happened("each time a subscription was open", Math.min(...rounds.map(({ deafened }) => deafened))),
          atMost("noticed, at most", highest(outcomes.map(({ noticedMs }) => noticedMs)), 10_000, "ms"),
          atMost("whole, at most", highest(outcomes.map(({ wholeMs }) => wholeMs)), 12_000, "ms"),
        ],
      };
    };
  },
};
