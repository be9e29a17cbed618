import type { Reporter, TestCase, TestModule } from "vitest/node";

/**
 * Prints the result of the run as the very last line: `12 passed, 0 failed`, with `, 1 skipped` if there are any, and
 * before it which tests passed only at their second attempt, and why not at the first.
 */
export default class LastLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0, pending: 0 };
    for (const module of modules) {
      const tests = [...module.children.allTests()];
      tests.filter((test) => test.diagnostic()?.flaky).forEach(tellOfFirstAttempt);
      const results = tests.map((test) => test.result().state);
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

function tellOfFirstAttempt(test: TestCase): void {
  const errors = test.result().errors?.map(({ message, stacks }) => {
    const [place] = stacks ?? [];
    return `    ${message}${place === undefined ? "" : ` (line ${place.line})`}\n`;
  });
  process.stdout.write(
    `passed at the second attempt: ${test.module.relativeModuleId} > ${test.fullName}\n${errors?.join("") ?? ""}`,
  );
}
