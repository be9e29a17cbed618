import { setTimeout as sleep } from "node:timers/promises";
import { highest } from "../lag.ts";
import type { Scenario, Scene } from "../scenario.ts";

/** Kills come this long after the hub was ready… */
const LIFE_MS = { from: 50, to: 1_500 };
/** …or, this often, while it still starts and repairs. */
const STARTING_KILLS = 0.2;
const STARTING_LIFE_MS = { from: 100, to: 700 };
const LONGEST_PAUSE_MS = 40;

export const killHub: Scenario = {
  name: "kill-hub",
  question:
    "The only hub is killed (kill -9) at random instants under load: is an acked change ever lost, doubled, or a gap unseen?",
  defaults: { seconds: 130, viewersPerProject: 2 },
  fleet: { hubs: 1, redis: "none" },
  moves: false,
  // As fast as the hub lets them, so that each kill meets publishes under way.
  rest:
    () =>
    ({ random }) =>
    () =>
      sleep(random.between(0, LONGEST_PAUSE_MS)),
  trouble: async (scene) => {
    const kills = { whileRunning: 0, whileStarting: 0, unsettled: 0 };
    const restartMs: number[] = [];
    const endsAt = performance.now() + scene.settings.seconds * 1_000;
    while (performance.now() < endsAt) {
      await sleep(scene.random.between(LIFE_MS.from, LIFE_MS.to));
      kills.unsettled += scene.crowd.unsettled;
      kills.whileRunning += 1;
      if (await killWhileStarting(scene)) kills.whileStarting += 1;
      restartMs.push(await restart(scene));
    }
    await sleep(1_000);
    return () => ({
      rows: [
        ["kills while the hub ran", kills.whileRunning],
        ["kills while it started", kills.whileStarting],
        ["publishes unanswered at a kill", kills.unsettled],
        ["restart to ready, longest, ms", Math.round(highest(restartMs))],
      ],
      verdicts: [],
    });
  },
};

async function killWhileStarting({ fleet, random }: Scene): Promise<boolean> {
  if (!random.chance(STARTING_KILLS)) return false;
  await fleet.killHub(0);
  await fleet.restartHub(0);
  await sleep(random.between(STARTING_LIFE_MS.from, STARTING_LIFE_MS.to));
  return true;
}

/** How long it took, ms. */
async function restart({ fleet }: Scene): Promise<number> {
  await fleet.killHub(0);
  const launchedAt = performance.now();
  await fleet.restartHub(0);
  await fleet.hubReady(0);
  return performance.now() - launchedAt;
}
