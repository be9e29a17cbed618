import { defineConfig } from "vitest/config";

/** Files that have nothing to do with another process share theirs: loading the project anew costs more than their tests. */
const PURE = ["test/unit/**/*.test.ts", "test/consistency/**/*.test.ts"];

export default defineConfig({
  test: {
    globalSetup: "test/support/global-setup.ts",
    reporters: ["default", "./test/support/reporter.ts"],
    // For two cores: a third of the time tests wait for their hubs and agents, which run beside them; with more workers
    // bounded waits run out.
    pool: "forks",
    maxWorkers: 3,
    // A test that leaves something open would otherwise hang the run in silence.
    teardownTimeout: 20_000,
    projects: [
      { test: { ...common(), name: "pure", include: PURE, isolate: false } },
      { test: { ...common(), name: "hub", include: ["test/**/*.test.ts"], exclude: PURE } },
    ],
  },
});

function common() {
  return {
    environment: "node",
    testTimeout: 60_000,
    // Processes on a machine whose cores others take from time to time; what needed it is told with its error.
    retry: 1,
    hookTimeout: 120_000,
  } as const;
}
