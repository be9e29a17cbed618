import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../support/processes.ts";
import { atMost, happened } from "../judging.ts";
import { highest, lagMs, remoteLags, within } from "../lag.ts";
import type { Scenario, Scene } from "../scenario.ts";

/** How long what one publish sets off takes at most to pass through Redis; shorter than two probes. */
const PASSING_MS = 500;
const LEVEL_DEADLINE_MS = 30_000;
/** A frame that nothing was done to is faster by far. */
const LOST_MS = 400;

export const lastFrame: Scenario = {
  name: "last-frame",
  question:
    "What one hub tells another of a change gets lost, and then there is silence: when do the viewers there have it?",
  defaults: { seconds: 60, agents: 8, projects: 2 },
  fleet: { hubs: 2, redis: "proxied" },
  moves: false,
  rest: (_, gate) => gate.rest,
  trouble: async (scene) => {
    const rounds: { readonly hub: number; readonly fromMs: number; readonly toMs: number }[] = [];
    const endsAt = performance.now() + scene.settings.seconds * 1_000;
    while (performance.now() < endsAt) {
      const hub = scene.random.integer(0, scene.fleet.proxies.length - 1);
      const fromMs = performance.now();
      if (await loseOne(scene, hub)) rounds.push({ hub, fromMs, toMs: performance.now() });
      await isSilentlyLevel(scene);
      // At another moment between two comparisons of heads each time.
      await sleep(scene.random.between(100, 5_000));
    }
    scene.gate.open();
    return (history) => {
      const lags = remoteLags(history);
      const waits = rounds.flatMap((round) =>
        lags.filter((lag) => lag.hub === round.hub && within(round, lag.ackedMs)).map(lagMs),
      );
      const lost = waits.filter((wait) => wait >= LOST_MS);
      return {
        rows: [
          ["times that a message between hubs was lost", rounds.length],
          ["changes that viewers had to wait for", lost.length],
        ],
        verdicts: [
          happened("changes whose message was lost", lost.length),
          atMost("with the viewers, at most", highest(waits), 6_000, "ms"),
        ],
      };
    };
  },
};

/** Whether a message to this hub was swallowed. */
async function loseOne({ fleet, gate }: Scene, hub: number): Promise<boolean> {
  const proxy = fleet.proxies[hub];
  if (proxy === undefined) throw new Error(`hub ${hub} has no Redis`);
  const before = proxy.swallowedEntries;
  proxy.swallow();
  try {
    gate.letOne(hub);
    const isLost = until("it is lost", () => proxy.swallowedEntries > before, PASSING_MS);
    return await isLost.then(
      () => true,
      // A refused publish makes no change.
      () => false,
    );
  } finally {
    proxy.pass();
  }
}

async function isSilentlyLevel({ crowd }: Scene): Promise<void> {
  const positions = (project: string) =>
    crowd.viewers.filter(({ projectId }) => projectId === project).map(({ position }) => position);
  const areLevel = () => crowd.projects.every((project) => new Set(positions(project)).size === 1);
  await until("viewers stand at the same change", () => crowd.unsettled === 0 && areLevel(), LEVEL_DEADLINE_MS);
}
