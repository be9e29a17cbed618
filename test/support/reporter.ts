import type { Reporter, TestModule } from "vitest/node";

/** Prints the result of the run as the very last line: `12 passed, 0 failed`, with `, 1 skipped` if there are any. */
export default class LastLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0, pending: 0 };
    for (const module of modules) {
      const results = [...module.children.allTests()].map((test) => test.result().state);
      for (const state of results) counts[state] += 1;
      // A file that does not load, or whose hooks fail, has no failed test of its own and is a failure all the same.
      if (!module.ok() && !results.includes("failed")) counts.failed += 1;
    }
    const skipped = counts.skipped + counts.pending;
    const line = `${counts.passed} passed, ${counts.failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
    // After all that the other reporters still write when the run ends.
    process.once("exit", () => process.stdout.write(`${line}\n`));
  }
}
