import { expect, test } from "vitest";
import { type HotProject, type HotResult, playHotProject } from "./hot-project.ts";

const SEEDS = [1, 2];

function play(over: Omit<HotProject, "seed" | "forMs">): Promise<HotResult[]> {
  return SEEDS.reduce(
    async (results, seed) => [...(await results), await playHotProject({ seed, forMs: 1_000, ...over })],
    Promise.resolve<HotResult[]>([]),
  );
}

const worst = ({ latencies }: HotResult) => Math.max(...latencies.map((ofHub) => ofHub.at(-1) ?? 0));
const lostRacesPerEntry = (results: readonly HotResult[]) =>
  results.reduce((sum, { lostRaces }) => sum + lostRaces, 0) / results.reduce((sum, { entries }) => sum + entries, 0);

test(`[D12] [D21] 4 hubs with as much to write take turns: hardly a race is lost, seeds ${SEEDS}`, async () => {
  const results = await play({ rates: [125, 125, 125, 125], hasRedis: true });
  expect(lostRacesPerEntry(results)).toBeLessThan(0.15);
  for (const result of results) {
    expect(result.refusals).toEqual([]);
    expect(worst(result)).toBeLessThan(120);
  }
});

test(`[D21] no hub is passed over, whatever the others write, seeds ${SEEDS}`, async () => {
  for (const rates of [
    [150, 150, 150, 5],
    [300, 5, 5, 5],
    [60, 60, 60, 60, 60, 60, 60, 60],
  ]) {
    for (const result of await play({ rates, hasRedis: true })) {
      expect(result.refusals).toEqual([]);
      expect(worst(result)).toBeLessThan(200);
    }
  }
});

test(`[D21] a hub that hears of everything later and reaches the log later has its turns too, seeds ${SEEDS}`, async () => {
  const lastHub = { latencyMs: 12, busDelayMs: 20 };
  for (const result of await play({ rates: [125, 125, 125, 125], hasRedis: true, lastHub })) {
    expect(result.refusals).toEqual([]);
    expect(worst(result)).toBeLessThan(2_000);
  }
});

test(`[D12] [D21] without Redis the order is found by lost races, and nobody starves, seeds ${SEEDS}`, async () => {
  for (const result of await play({ rates: [125, 125, 125, 125], hasRedis: false })) {
    expect(result.refusals).toEqual([]);
    expect(worst(result)).toBeLessThan(400);
  }
});

test(`[D21] a hub whose neighbours fell silent waits for them once, seeds ${SEEDS}`, async () => {
  for (const result of await play({ rates: [200, 1, 1, 1], hasRedis: true })) {
    const [busy = []] = result.latencies;
    expect(busy[Math.floor(busy.length / 2)]).toBeLessThan(20);
  }
});
