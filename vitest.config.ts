import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Without processes, hubs or a database: short, so that at the end of a run no core waits for another's last file. */
const PURE = /\/test\/(unit|consistency)\//;

class LongFilesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isPure = ({ moduleId }: TestSpecification) => PURE.test(moduleId);
    return [...sorted.filter((file) => !isPure(file)), ...sorted.filter(isPure)];
  }
}

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
    // Files share the processes of the workers: loading the project anew, and running code that is not warm, costs as
    // much as their tests. Modules have no state, and what a test opens its stage ends.
    isolate: false,
    sequence: { sequencer: LongFilesFirst },
    testTimeout: 60_000,
    // Processes on a machine whose cores others take from time to time; what needed it is told with its error.
    retry: 1,
    hookTimeout: 120_000,
    // A test that leaves something open would otherwise hang the run in silence.
    teardownTimeout: 20_000,
  },
});
