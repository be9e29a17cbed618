import { afterEach, describe, expect, test } from "vitest";
import { fuzzFrames } from "../../bench/torture/fuzz/fuzz-frames.ts";
import { fuzzHttp } from "../../bench/torture/fuzz/fuzz-http.ts";
import { FUZZED_HUB_ENV, type FuzzedHub, fuzzBesideWork } from "../../bench/torture/fuzz/scene.ts";
import { Random } from "../support/random.ts";
import { startHub } from "../support/start-hub.ts";
import { Stage } from "../support/test-hub.ts";

const stage = new Stage();
afterEach(stage.clear);

/** A hub process of its own, so that its end would be seen, and nobody else's memory. */
async function hubToFuzz(): Promise<FuzzedHub & { output(): string }> {
  const { uri: mongodbUri } = stage.database();
  const first = await startHub({ mongodbUri, env: FUZZED_HUB_ENV });
  let running = first;
  stage.add(first, () => running.stop());
  const { port, key, pid } = first;
  return {
    keptBytes: async () => 0,
    ...{ url: first.url.replace("http", "ws"), key, pid, mongodbUri },
    restart: async () => {
      await running.stop();
      running = await startHub({ mongodbUri, port, key, env: FUZZED_HUB_ENV });
    },
    output: () => first.output(),
  };
}

/** The long runs, with other seeds and answer times measured, are `npm run fuzz`. */
describe("a seeded part of the fuzz, beside agents and viewers who work", { timeout: 180_000 }, () => {
  const WORK = { agents: 5, viewers: 3, everyMs: 100, rounds: 1, calmMs: 0, settleMs: 0 };

  test.each([
    ["2,000 frames", fuzzFrames, 2_000, 1_000],
    ["500 requests", fuzzHttp, 500, 400],
  ] as const)(
    "[H11] [E10] [D3] %s: nobody is hurt, nothing is lost, all is as the log says",
    async (_what, fuzz, count, perSecond) => {
      const hub = await hubToFuzz();
      const result = await fuzzBesideWork(
        { hub, count, clients: 4, perSecond, random: new Random(20_261_122) },
        fuzz,
        WORK,
      );
      expect(result.findings).toEqual([]);
      expect(result.counts.accepted).toBeGreaterThan(0);
      expect(result.counts.publishes).toBeGreaterThan(5);
      expect(hub.output()).toBe("");
    },
  );
});
