import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    environment: "node",
    include: ["test/**/*.test.ts"],
    globalSetup: "test/support/global-setup.ts",
    reporters: ["default", "./test/support/reporter.ts"],
    // For two cores: a third of the time tests wait for their hubs and agents, which run beside them; with more workers
    // bounded waits run out.
    pool: "forks",
    maxWorkers: 3,
    testTimeout: 60_000,
    // Processes on a machine whose cores others take from time to time; what needed it is told with its error.
    retry: 1,
    hookTimeout: 120_000,
    // A test that leaves something open would otherwise hang the run in silence.
    teardownTimeout: 20_000,
  },
});
