import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { findSchemathesis, NoSchemathesis } from "../../bench/torture/schemathesis/install.ts";
import { runSchemathesis, UNLIMITED_ENV } from "../../bench/torture/schemathesis/run.ts";
import { Stage } from "../support/test-hub.ts";

const stage = new Stage();
afterEach(stage.clear);

/** The long run, with another seed each time and every phase, is `npm run fuzz:rest`. */
test("[R72] [E10] requests made from openapi.json: no server error, no answer or status that it does not describe", {
  timeout: 420_000,
}, async (context) => {
  const program = await findSchemathesis(process.env, () => {}).catch((error: unknown) => {
    if (error instanceof NoSchemathesis) context.skip(`schemathesis: ${error.message}`);
    throw error;
  });
  const hub = await stage.hub({ env: UNLIMITED_ENV });
  const folder = stage.add(mkdtempSync(join(tmpdir(), "state-hub-fuzz-rest-")), (path) =>
    rmSync(path, { recursive: true, force: true }),
  );
  const phases = ["examples", "fuzzing", "stateful"];
  const result = await runSchemathesis(program, hub, {
    seed: 20_261_122,
    examples: 4,
    phases,
    folder,
    timeoutMs: 110_000,
  });
  expect(result.passed, result.output).toBe(true);
  const [, generated = "0", passed = ""] = /(\d+) generated, (\d+) passed/.exec(result.output) ?? [];
  expect(Number(passed)).toBe(Number(generated));
  expect(Number(generated)).toBeGreaterThan(100);
});
