import { setTimeout as sleep } from "node:timers/promises";
import { percentiles } from "../../support/statistics.ts";
import { atMost, happened } from "../judging.ts";
import { highest, lagMs, remoteLags, within } from "../lag.ts";
import type { Scenario } from "../scenario.ts";

const CUT_EVERY_MS = 3_000;

export const cutSubscriptions: Scenario = {
  name: "cut-subscriptions",
  question:
    "Redis closes all subscribed connections every 3 s under load (CLIENT KILL TYPE PUBSUB): how long until viewers have what fell between?",
  defaults: { seconds: 60 },
  fleet: { hubs: 3, redis: "direct" },
  moves: false,
  trouble: async ({ settings, fleet }) => {
    const cuts: { readonly atMs: number; readonly closed: number }[] = [];
    const endsAt = performance.now() + settings.seconds * 1_000;
    while (performance.now() < endsAt) {
      const atMs = performance.now();
      const answer = await fleet.redis?.command("CLIENT", "KILL", "TYPE", "pubsub");
      cuts.push({ atMs, closed: Number(/^:(\d+)/.exec(answer ?? "")?.[1] ?? 0) });
      await sleep(CUT_EVERY_MS);
    }
    return (history) => {
      const byViewer = Map.groupBy(remoteLags(history), ({ viewer }) => viewer);
      // The longest wait of each viewer after each cut.
      const gaps = cuts.flatMap(({ atMs }) => {
        const span = { fromMs: atMs, toMs: atMs + CUT_EVERY_MS };
        return [...byViewer.values()].map((lags) =>
          highest(lags.filter(({ ackedMs }) => within(span, ackedMs)).map(lagMs)),
        );
      });
      const { p50, p99, max } = percentiles(gaps);
      return {
        rows: [
          ["cuts", cuts.length],
          ["longest wait of a viewer after a cut, p50/max ms", `${Math.round(p50)}/${Math.round(max)}`],
        ],
        verdicts: [
          happened("each cut closed subscriptions", Math.min(...cuts.map(({ closed }) => closed))),
          atMost("longest wait of a viewer after a cut, p99", p99, 1_000, "ms"),
        ],
      };
    };
  },
};
