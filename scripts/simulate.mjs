// Runs many random histories against the core in memory: npm run simulate [-- HISTORIES [FIRST_SEED]]

import { spawnSync } from "node:child_process";

const [histories = "20000", seed = "1"] = process.argv.slice(2);
if (!/^\d+$/.test(histories) || !/^\d+$/.test(seed)) {
  console.error("usage: npm run simulate [-- HISTORIES [FIRST_SEED]]");
  process.exit(2);
}
const env = { ...process.env, STATE_HUB_HISTORIES: histories, STATE_HUB_SEED: seed };
const run = spawnSync("npx", ["vitest", "run", "test/model"], {
  stdio: "inherit",
  env,
  shell: process.platform === "win32",
});
process.exit(run.status ?? 1);
