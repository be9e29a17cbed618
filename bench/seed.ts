// Fills a database as hubs would have: sessions, their whole history, last heartbeats, marks and counts. For benches, and for trying things out.

import { parseArgs } from "node:util";
import { seedDatabase } from "./support/seed-database.ts";

const { values } = parseArgs({
  options: {
    uri: { type: "string" },
    sessions: { type: "string", default: "1000000" },
    changes: { type: "string", default: "10000000" },
    projects: { type: "string", default: "100" },
  },
});
if (values.uri === undefined) {
  console.error(
    "usage: node bench/seed.ts --uri mongodb://127.0.0.1:27017/NAME [--sessions N] [--changes N] [--projects N]",
  );
  process.exit(2);
}
const [sessions, changes, projects] = [Number(values.sessions), Number(values.changes), Number(values.projects)];
const started = performance.now();
const say = (line: string) => console.error(`${Math.round((performance.now() - started) / 1_000)} s: ${line}`);
await seedDatabase({ uri: values.uri, sessions, changes, projects, say });
say(`${sessions} sessions, ${changes} changes in ${projects} projects`);
