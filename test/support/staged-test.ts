import { test as plain } from "vitest";
import { Stage } from "./test-hub.ts";

/** A test with a stage of its own, for tests that run at the same time: what one opens does not end with another. */
export const test = plain.extend<{ readonly stage: Stage }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads from the pattern which fixtures this one needs
  stage: async ({}, use) => {
    const stage = new Stage();
    await use(stage);
    await stage.clear();
  },
});
