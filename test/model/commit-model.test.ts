import { expect, test } from "vitest";
import { World } from "./history.ts";

/** Histories to run, and the seed of the first: `STATE_HUB_HISTORIES=20000 STATE_HUB_SEED=1 npx vitest run test/model`. */
const HISTORIES = Number(process.env.STATE_HUB_HISTORIES ?? 500);
const FIRST_SEED = Number(process.env.STATE_HUB_SEED ?? 1);

test(`[D2] [D3] [D4] [D5] [D12] [B10] [B11] [Y1] [Y4] ${HISTORIES} random histories from seed ${FIRST_SEED}: log, documents, answers, mirrors and verdicts agree`, {
  timeout: 60_000 + HISTORIES * 1_000,
}, async () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + HISTORIES; seed++) await history(seed);
});

/** The trace is printed for a history that fails; run it alone with its seed. */
async function history(seed: number): Promise<void> {
  const world = new World(seed);
  try {
    await world.run();
  } catch (error) {
    const trace = world.trace.slice(-40).join("\n");
    expect.fail(`seed ${seed}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n${trace}`);
  }
}
