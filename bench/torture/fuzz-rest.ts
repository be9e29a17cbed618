import { parseArgs } from "node:util";
import { BENCH_KEY, startHub, startMongod, temporaryFolder } from "../support/processes.ts";
import { findSchemathesis, NoSchemathesis } from "./schemathesis/install.ts";
import { runSchemathesis, UNLIMITED_ENV } from "./schemathesis/run.ts";

const HELP = `Requests made from /openapi.json by schemathesis, against a real hub on a MongoDB of its own: no server error, no
answer that its schema does not describe, no status that is not documented.

  npm run fuzz:rest -- [options]

  --examples N   generated requests per route in a phase (default: 50)
  --seed N       the same seed, the same requests (default: the time)
  --minutes N    the run has failed when it takes longer (default: 20)
  --help         this

Needs python3 (3.11 or newer) with venv, and once the Python package index. Left out: POST /admin/drain, which ends the
hub, and the events of a project, a stream without end. Exit code 1: something was found; 2: it could not run.`;

const { values } = parseArgs({
  options: {
    examples: { type: "string", default: "50" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
    minutes: { type: "string", default: "20" },
    help: { type: "boolean", default: false },
  },
});

if (values.help) console.log(HELP);
else process.exit(await main());

async function main(): Promise<number> {
  const [examples, seed, minutes] = [whole("examples"), whole("seed"), whole("minutes")];
  const program = await findSchemathesis(process.env, console.error).catch((error: unknown) => {
    if (!(error instanceof NoSchemathesis)) throw error;
    console.error(`fuzz:rest did not run: ${error.message}`);
    return undefined;
  });
  if (program === undefined) return 2;
  console.error(`seed ${seed}`);
  const mongod = await startMongod();
  const hub = await startHub({ mongodbUri: mongod.uri("fuzz_rest"), env: UNLIMITED_ENV });
  const { passed, output } = await runSchemathesis(
    program,
    { url: hub.url.replace(/^ws/, "http"), key: BENCH_KEY },
    {
      ...{ seed, examples, folder: temporaryFolder(), timeoutMs: minutes * 60_000 },
      phases: ["examples", "coverage", "fuzzing", "stateful"],
    },
  );
  console.log(output);
  await hub.stop();
  await mongod.stop();
  return passed ? 0 : 1;
}

function whole(name: "examples" | "seed" | "minutes"): number {
  const value = Number(values[name]);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  console.error(`--${name} must be a whole number`);
  return process.exit(2);
}
